"""A bundle's manifest: written, read, and compared with what lies there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import Refused
from ..progress import Progress
from . import lists, shape, signature, tree

NAME = lists.MANIFEST
SIGNATURE = lists.signature_of(NAME)
_THREADS = 4


def _digest(folder: Path, name: str, progress: Progress, part: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with tree.opened(folder, name) as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
            progress.add(part, len(block))
    return digest.hexdigest(), size


def files_of(folder: Path) -> list[str]:
    """Every file of a bundle but its own lists and their signatures, sorted."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if name not in lists.OWN)


def describe(folder: Path, names: Iterable[str], progress: Progress) -> dict[str, dict[str, Any]]:
    """sha256 and size of files, by their path in the bundle."""
    names = list(names)
    progress.start("files", sum((folder / name).lstat().st_size for name in names))
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda name: _digest(folder, name, progress, "files"), names)
        return {
            name: {"sha256": digest, "size": size}
            for name, (digest, size) in zip(names, found, strict=True)
        }


def write(folder: Path, manifest: dict[str, Any], key: Path | None = None) -> None:
    """Write a bundle's manifest and lists, and sign them; the same content gives the same bytes.

    Args:
        key: SSH private key to sign with.

    Raises:
        Refused: a file's name is none a bundle can have.
        Error: ssh-keygen could not sign.
    """
    text = json.dumps({"format": shape.FORMAT, **manifest}, indent=1, sort_keys=True) + "\n"
    try:
        shape.parse(text.encode())
    except shape.Malformed as error:
        raise Refused(f"the bundle cannot be described: {error}") from error
    (folder / NAME).write_text(text)
    if key:
        signature.sign(folder / NAME, key)
    lists.write(folder, manifest)
    if key:
        signature.sign(folder / lists.SUMS, key)


def read(folder: Path) -> dict[str, Any]:
    """Read a bundle's manifest (or one on its own). Raises Refused."""
    # A manifest on its own may be reached through a link; one in a bundle may not.
    path = folder.resolve()
    place, name = (folder, NAME) if path.is_dir() else (path.parent, path.name)
    if not (place / name).exists():
        raise Refused(f"{folder} is no bundle: it has no {NAME}")
    with tree.opened(place, name) as file:
        data = file.read(shape.MAX_BYTES + 1)
    try:
        return shape.parse(data)
    except shape.OtherFormat as error:
        raise Refused(
            f"{place / name} is of another version: {error}. Use the project inside that bundle"
        ) from error
    except shape.Malformed as error:
        raise Refused(
            f"{place / name} is no manifest of a bundle: {error}. Make the bundle again"
        ) from error


def is_incremental(folder: Path, manifest: dict[str, Any]) -> bool:
    """Whether a bundle needs an earlier one still. Put together, it keeps its signed manifest."""
    absent = (manifest.get("since") or {}).get("absent", [])
    return not all((folder / name).is_file() for name in absent)


def check(
    folder: Path, public_key: Path | None, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """The manifest of a bundle that is as it was made, and things worth a word.

    Args:
        public_key: SSH public key it has to be signed with; None to check its sums only.

    Raises:
        Refused: it is not; the message names what is missing, altered or added.
    """
    if public_key and (folder / NAME).exists():
        signature.check(folder, public_key)
    described = read(folder)
    told = problems(folder, described, progress)
    if told:
        more = f" and {len(told) - 5} more" if len(told) > 5 else ""
        raise Refused(f"{folder} is not as it was made: {'; '.join(told[:5])}{more}")
    notes = []
    if not public_key and (folder / SIGNATURE).is_file():
        notes.append("it is signed, and no public key was given to check that (--public-key)")
    return described, notes


def problems(folder: Path, manifest: dict[str, Any], progress: Progress) -> list[str]:
    """What is missing, altered, added, or open to others, one phrase a file."""
    wanted: dict[str, dict[str, Any]] = manifest["files"]
    since = manifest.get("since") or {}
    partial = is_incremental(folder, manifest)
    absent = set(since.get("absent", []) if partial else [since.get("image_delta")])
    seen = tree.look(folder, {*wanted, *lists.OWN})
    told = seen.faults
    own = {NAME, lists.FILES, lists.SUMS}
    told += [f"{name} is missing" for name in [*wanted, *sorted(own)]
             if name not in seen.files and name not in absent]  # fmt: skip
    found = describe(folder, sorted(seen.files & set(wanted)), progress)
    for name, entry in found.items():
        if entry["size"] != wanted[name]["size"]:
            told.append(f"{name} has {entry['size']} bytes, not {wanted[name]['size']}: truncated?")
        elif entry["sha256"] != wanted[name]["sha256"]:
            told.append(f"{name} was altered (sha256 {entry['sha256'][:12]})")
    if own <= seen.files:
        told += lists.problems(folder, manifest)
    return told
