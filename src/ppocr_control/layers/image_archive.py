"""The archive ``docker load`` takes: whole, or without the layers the host has.

Classic engines read manifest.json and look a layer up by its chain of content before they open its
file, so the file of a layer they have may be missing. Engines on containerd's store read index.json
and look blobs up by digest. One archive carries both descriptions.
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

#: Docker's names of architectures by the kernel's.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_PAD = 512
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """Docker's names of a layer together with all below it."""
    chain: list[str] = []
    for diff_id in diff_ids:
        text = f"{chain[-1]} {diff_id}" if chain else diff_id
        chain.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if chain else diff_id)
    return chain


def split_name(name: str) -> tuple[str, str]:
    """Repository and tag of an image's name; raises Refused."""
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "latest"
    if not repository or not tag:
        raise Refused(f"{name!r} is not name:tag")
    return repository, tag


@dataclass(frozen=True)
class Image:
    """An image as the control node knows it.

    Attributes:
        config: its configuration's bytes; their sha256 is the image ID.
        tags: names it carries.
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
    def architecture(self) -> str:
        return str(self.parsed.get("architecture", ""))

    @property
    def labels(self) -> dict[str, str]:
        return (self.parsed.get("config") or {}).get("Labels") or {}


#: Label of what beginning() makes; its value is the ID of the image it is part of.
PART_OF = "org.ppocr.part-of"


def beginning(image: Image, count: int) -> Image:
    """An image of another one's first layers, which keeps them on an engine until all are there.

    It has the same ID each time.
    """
    kept = {
        key: image.parsed[key] for key in ("architecture", "os", "created") if key in image.parsed
    }
    config = {"Labels": {PART_OF: image.id}}
    layers = {"type": "layers", "diff_ids": image.diff_ids[:count]}
    return Image(_json(kept | {"config": config, "rootfs": layers}))


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{hexdigest(digest)}"


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def oci_manifest(image: Image, blobs: dict[str, Blob]) -> bytes:
    """The image's OCI manifest; every layer's compressed form has to be known."""
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
    """What containerd's store calls the image."""
    return f"sha256:{hashlib.sha256(oci_manifest(image, blobs)).hexdigest()}"


def small_files(image: Image, blobs: dict[str, Blob], tags: Sequence[str] = ()) -> dict[str, bytes]:
    """All of the archive but its layers, in order.

    Layers whose compressed form is unknown are on a classic host already: they get the name of
    their content, and the OCI half is left out. So it is with tags: engines name an image by one
    half or by the other, and all of them by manifest.json.
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
    """The tar header of a file."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def padding(size: int) -> bytes:
    """What fills a file up to the tar's block size."""
    return b"\0" * (-size % _PAD)


TRAILER = b"\0" * (2 * _PAD)


def head(image: Image, blobs: dict[str, Blob], tags: Sequence[str] = ()) -> bytes:
    """The archive's beginning: all but layers and trailer."""
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
    """The whole archive as blocks; ``parts`` gives each layer's compressed bytes once."""
    yield head(image, blobs, tags)
    for blob, blocks in parts:
        yield layer_header(blob)
        yield from blocks
        yield padding(blob.size)
    yield TRAILER
