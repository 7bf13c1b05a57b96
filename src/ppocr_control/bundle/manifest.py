"""Writes and reads a bundle's manifest, and compares it with the files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import Refused
from ..files import read_blocks
from ..progress import Progress
from . import lists, schema, signature, tree

NAME = lists.MANIFEST
SIGNATURE = lists.signature_of(NAME)
_THREADS = 4


def _digest(folder: Path, name: str, progress: Progress, part: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with tree.opened(folder, name) as file:
        for block in read_blocks(file):
            digest.update(block)
            size += len(block)
            progress.add(part, len(block))
    return digest.hexdigest(), size


def files_of(folder: Path) -> list[str]:
    """Return all files of a bundle except manifest, lists and signatures, sorted."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if name not in lists.INDEX_FILES)


def describe(folder: Path, names: Iterable[str], progress: Progress) -> dict[str, dict[str, Any]]:
    """Return sha256 and size of files, by their path in the bundle."""
    names = list(names)
    progress.start("files", sum((folder / name).lstat().st_size for name in names))
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda name: _digest(folder, name, progress, "files"), names)
        return {
            name: {"sha256": digest, "size": size}
            for name, (digest, size) in zip(names, found, strict=True)
        }


def write(folder: Path, manifest: dict[str, Any], key: Path | None = None) -> None:
    """Write and sign a bundle's manifest and lists; the same content gives the same bytes.

    Args:
        key: SSH private key to sign with.

    Raises:
        Refused: a file's name is not allowed in a bundle.
        Error: ssh-keygen could not sign.
    """
    text = json.dumps({"format": schema.FORMAT, **manifest}, indent=1, sort_keys=True) + "\n"
    try:
        schema.parse(text.encode())
    except schema.Malformed as error:
        raise Refused(f"the bundle cannot be described: {error}") from error
    (folder / NAME).write_text(text)
    if key:
        signature.sign(folder / NAME, key)
    lists.write(folder, manifest)
    if key:
        signature.sign(folder / lists.SUMS, key)


def read(folder: Path) -> dict[str, Any]:
    """Read the manifest of a bundle, or a separate one. Raises Refused."""
    # A separate manifest may be a link; one in a bundle may not.
    path = folder.resolve()
    parent, name = (folder, NAME) if path.is_dir() else (path.parent, path.name)
    if not (parent / name).exists():
        raise Refused(f"{folder} is not a bundle: it has no {NAME}")
    with tree.opened(parent, name) as file:
        data = file.read(schema.MAX_BYTES + 1)
    try:
        return schema.parse(data)
    except schema.OtherFormat as error:
        raise Refused(
            f"{parent / name} is of another version: {error}. Use the project inside that bundle"
        ) from error
    except schema.Malformed as error:
        raise Refused(
            f"{parent / name} is no manifest of a bundle: {error}. Create the bundle again"
        ) from error


def is_incremental(folder: Path, manifest: dict[str, Any]) -> bool:
    """Return whether a bundle still needs an earlier one; a combined one keeps its manifest."""
    absent = (manifest.get("since") or {}).get("absent", [])
    return not all((folder / name).is_file() for name in absent)


def check(
    folder: Path, public_key: Path | None, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """Verify a bundle; return its manifest and notes for the operator.

    Args:
        public_key: SSH public key it must be signed with; None to check only its digests.

    Raises:
        Refused: the message names what is missing, altered or added.
    """
    if public_key and (folder / NAME).exists():
        signature.check(folder, public_key)
    described = read(folder)
    found = problems(folder, described, progress)
    if found:
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise Refused(f"{folder} is not as it was made: {'; '.join(found[:5])}{more}")
    notes = []
    if not public_key and (folder / SIGNATURE).is_file():
        notes.append("it is signed, and no public key was given to check that (--public-key)")
    return described, notes


def problems(folder: Path, manifest: dict[str, Any], progress: Progress) -> list[str]:
    """Return a phrase for each file that is missing, altered, added, or writable by others."""
    wanted: dict[str, dict[str, Any]] = manifest["files"]
    since = manifest.get("since") or {}
    partial = is_incremental(folder, manifest)
    absent = set(since.get("absent", []) if partial else [since.get("image_delta")])
    seen = tree.scan(folder, {*wanted, *lists.INDEX_FILES})
    found = seen.problems
    required = {NAME, lists.FILES, lists.SUMS}
    found += [f"{name} is missing" for name in [*wanted, *sorted(required)]
             if name not in seen.files and name not in absent]  # fmt: skip
    actual = describe(folder, sorted(seen.files & set(wanted)), progress)
    for name, entry in actual.items():
        if entry["size"] != wanted[name]["size"]:
            found.append(
                f"{name} has {entry['size']} bytes, not {wanted[name]['size']}: truncated?"
            )
        elif entry["sha256"] != wanted[name]["sha256"]:
            found.append(f"{name} was altered (sha256 {entry['sha256'][:12]})")
    if required <= seen.files:
        found += lists.problems(folder, manifest)
    return found
