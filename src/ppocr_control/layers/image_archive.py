"""The archive for ``docker load``: complete, or without the layers a host already has.

Classic engines read manifest.json and look up a layer by its chain ID before they open its file, so
the file of a layer they have may be missing. Engines on containerd's store read index.json and look
up blobs by digest. The archive contains both descriptions.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import Refused
from .codec import MEDIA_TYPES
from .store import Blob, hexdigest

#: Docker's names of architectures, by the kernel's names.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
#: Engines on containerd's store report success for a damaged layer, and only print this.
UNPACK_ERROR = "rror unpacking"
_PAD = 512
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """Return Docker's chain IDs: each identifies a layer together with all below it."""
    chain: list[str] = []
    for diff_id in diff_ids:
        text = f"{chain[-1]} {diff_id}" if chain else diff_id
        chain.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if chain else diff_id)
    return chain


def split_name(name: str) -> tuple[str, str]:
    """Split an image's name into repository and tag; raises Refused."""
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "latest"
    if not repository or not tag:
        raise Refused(f"{name!r} is not name:tag")
    return repository, tag


@dataclass(frozen=True)
class Image:
    """An image as known to the control node.

    Attributes:
        config: the bytes of its configuration; their sha256 is the image ID.
        tags: its names.
    """

    config: bytes
    tags: tuple[str, ...] = ()
    parsed: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parsed", json.loads(self.config))

    @property
    def id(self) -> str:
        return f"sha256:{hashlib.sha256(self.config).hexdigest()}"

    @property
    def diff_ids(self) -> list[str]:
        return list(self.parsed["rootfs"]["diff_ids"])

    @property
    def layers(self) -> list[str]:
        """Diff IDs, lowest first, each once: an image may have a layer twice."""
        return list(dict.fromkeys(self.diff_ids))

    @property
    def architecture(self) -> str:
        return str(self.parsed.get("architecture", ""))

    @property
    def labels(self) -> dict[str, str]:
        return (self.parsed.get("config") or {}).get("Labels") or {}


#: Label of partial images; its value is the ID of the complete image.
PART_OF = "org.ppocr.part-of"


def partial_image(image: Image, count: int) -> Image:
    """Return an image of the first layers of another one.

    It keeps them on an engine until the rest is loaded. Its ID is always the same.
    """
    common = {
        key: image.parsed[key] for key in ("architecture", "os", "created") if key in image.parsed
    }
    config = {"Labels": {PART_OF: image.id}}
    layers = {"type": "layers", "diff_ids": image.diff_ids[:count]}
    return Image(_json(common | {"config": config, "rootfs": layers}))


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{hexdigest(digest)}"


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def oci_manifest(image: Image, blobs: dict[str, Blob]) -> bytes:
    """Return the image's OCI manifest; every layer's compressed form has to be known."""
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": {"mediaType": _CONFIG_TYPE, "digest": image.id, "size": len(image.config)},
            "layers": [
                {"mediaType": MEDIA_TYPES[blob.codec], "digest": blob.digest, "size": blob.size}
                for blob in (blobs[diff_id] for diff_id in image.diff_ids)
            ],
        }
    )


def manifest_digest(image: Image, blobs: dict[str, Blob]) -> str:
    """Return the ID of the image in containerd's store."""
    return f"sha256:{hashlib.sha256(oci_manifest(image, blobs)).hexdigest()}"


def small_files(image: Image, blobs: dict[str, Blob], tags: Sequence[str] = ()) -> dict[str, bytes]:
    """Return all files of the archive except the layers, in order.

    Layers whose compressed form is unknown are already on a classic host: they are named by their
    uncompressed digest, and the OCI description is left out. It is also left out with tags: engines
    differ in which description they take names from, but all accept manifest.json.
    """
    layers = [_blob_name(blobs[d].digest if d in blobs else d) for d in image.diff_ids]
    manifest = [{"Config": _blob_name(image.id), "RepoTags": list(tags) or None, "Layers": layers}]
    files = {_blob_name(image.id): image.config}
    if not tags and all(diff_id in blobs for diff_id in image.diff_ids):
        described = oci_manifest(image, blobs)
        digest = f"sha256:{hashlib.sha256(described).hexdigest()}"
        entry = {"mediaType": _MANIFEST_TYPE, "digest": digest, "size": len(described)}
        index = {"schemaVersion": 2, "manifests": [entry]}
        files |= {
            _blob_name(digest): described,
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": _json(index),
        }
    return {**files, "manifest.json": _json(manifest)}


def header(name: str, size: int) -> bytes:
    """Return the tar header of a file."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def padding(size: int) -> bytes:
    """Return the padding of a file to the tar's block size."""
    return b"\0" * (-size % _PAD)


TRAILER = b"\0" * (2 * _PAD)


def head(image: Image, blobs: dict[str, Blob], tags: Sequence[str] = ()) -> bytes:
    """Return the beginning of the archive: everything before the layers."""
    return b"".join(
        header(name, len(data)) + data + padding(len(data))
        for name, data in small_files(image, blobs, tags).items()
    )


def layer_header(blob: Blob) -> bytes:
    return header(_blob_name(blob.digest), blob.size)


def write(
    image: Image,
    blobs: dict[str, Blob],
    tags: Sequence[str],
    parts: Iterable[tuple[Blob, Iterable[bytes]]],
) -> Iterator[bytes]:
    """Yield the complete archive in blocks; ``parts`` are the layers' compressed bytes."""
    yield head(image, blobs, tags)
    for blob, blocks in parts:
        yield layer_header(blob)
        yield from blocks
        yield padding(blob.size)
    yield TRAILER
