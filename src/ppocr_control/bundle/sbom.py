"""The contents of a bundle as CycloneDX 1.5 in JSON."""

from __future__ import annotations

import email
import tarfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO, Any, cast
from urllib.parse import quote

from ..files import BlockReader, read_blocks
from ..layers.codec import decompress
from ..layers.image_archive import Image
from ..layers.store import Blob, LayerStore

_STATUS = "var/lib/dpkg/status"
#: The package-URL type of Python packages; it does not mean the site.
_PYTHON = "pypi"


def deb(fields: dict[str, str], distribution: str) -> dict[str, Any]:
    """Return the component of a Debian package, from its fields."""
    name, version, arch = (fields[key] for key in ("Package", "Version", "Architecture"))
    vendor = distribution.partition("-")[0]
    purl = f"pkg:deb/{vendor}/{name}@{quote(version, safe='')}?arch={arch}&distro={distribution}"
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def python_package(name: str, version: str) -> dict[str, Any]:
    """Return the component of a Python distribution."""
    plain = name.lower().replace("_", "-")
    purl = f"pkg:{_PYTHON}/{plain}@{quote(version, safe='')}"
    return {"type": "library", "name": plain, "version": version, "purl": purl, "bom-ref": purl}


def wheel(file_name: str) -> dict[str, Any]:
    name, version = file_name.split("-")[:2]
    return python_package(name, version)


def image_components(
    image: Image, blobs: dict[str, Blob], store: LayerStore, distribution: str
) -> list[dict[str, Any]]:
    """Return the packages in an image: of its distribution and of Python."""
    python: dict[str, dict[str, Any]] = {}
    status = ""
    for diff_id in image.diff_ids:
        with store.path(blobs[diff_id]).open("rb") as file:
            blocks = decompress(read_blocks(file), blobs[diff_id].codec)
            for path, stream in _interesting(blocks):
                if path == _STATUS:
                    status = stream.read().decode(errors="replace")
                elif path.endswith("/METADATA"):
                    meta = email.message_from_bytes(stream.read())
                    if meta["Name"] and meta["Version"]:
                        python[path] = python_package(meta["Name"], meta["Version"])
    return [*_of_status(status, distribution), *python.values()]


def _interesting(blocks: Iterable[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=cast(IO[bytes], BlockReader(blocks)), mode="r|") as tar:
        for member in tar:
            path = PurePosixPath(member.name.lstrip("./")).as_posix()
            wanted = path == _STATUS or (path.endswith("/METADATA") and ".dist-info" in path)
            stream = tar.extractfile(member) if wanted and member.isfile() else None
            if stream:
                yield path, stream


def _of_status(status: str, distribution: str) -> Iterator[dict[str, Any]]:
    for entry in status.split("\n\n"):
        pairs = (line.split(": ", 1) for line in entry.splitlines() if line[:1].strip())
        fields = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
        if fields.get("Status", "").endswith(" installed"):
            yield deb(fields, distribution)


def document(
    name: str, version: str, image: Image, components: Iterable[dict[str, Any]], created: str
) -> dict[str, Any]:
    """Return the document; the same contents give the same document."""
    unique = {component["bom-ref"]: component for component in components}
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"{image.id}:{','.join(sorted(unique))}")
    main = f"pkg:oci/{name}@{quote(image.id, safe='')}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": {
                "type": "container", "name": name, "version": version,
                "purl": main, "bom-ref": main,
                "hashes": [{"alg": "SHA-256", "content": image.id.removeprefix("sha256:")}],
            },
        },
        "components": [unique[key] for key in sorted(unique)],
    }  # fmt: skip
