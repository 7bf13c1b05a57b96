"""Two lists to verify a bundle with shell tools only, before anything in it runs.

FILES        every file and folder, as ``find . -printf '%y %p\\n' | LC_ALL=C sort`` prints them
SHA256SUMS   as ``sha256sum --check`` reads them; signed if the manifest is

Both describe the complete bundle, even in an incremental one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from .tree import opened, parents

FILES, SUMS = "FILES", "SHA256SUMS"
MANIFEST = "MANIFEST.json"


def signature_of(name: str) -> str:
    """Return the name ssh-keygen gives the signature of a file."""
    return f"{name}.sig"


#: The files of a bundle that its manifest does not list.
INDEX_FILES = frozenset({MANIFEST, signature_of(MANIFEST), FILES, SUMS, signature_of(SUMS)})


def write(folder: Path, manifest: dict[str, Any]) -> None:
    """Write both lists of a bundle, after its manifest is written and, if requested, signed."""
    for name, text in _texts(folder, manifest):
        (folder / name).write_text(text)


def problems(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Return a phrase for each list that disagrees with the manifest.

    Raises:
        Refused: a list is missing, or a link.
    """
    found = []
    for name, text in _texts(folder, manifest):
        with opened(folder, name) as file:
            if file.read(len(text.encode()) + 1) != text.encode():
                found.append(f"{name} was altered")
    return found


def _texts(folder: Path, manifest: dict[str, Any]) -> list[tuple[str, str]]:
    delta = (manifest.get("since") or {}).get("image_delta")
    sums = {name: entry["sha256"] for name, entry in manifest["files"].items() if name != delta}
    signed = (folder / signature_of(MANIFEST)).is_file()
    signed_files = {MANIFEST, *({signature_of(MANIFEST)} if signed else ())}
    names = {*sums, *signed_files, FILES, SUMS, *({signature_of(SUMS)} if signed else ())}
    lines = [f"f ./{name}" for name in names] + [f"d ./{name}" for name in parents(names)]
    files = "".join(f"{line}\n" for line in sorted(["d .", *lines], key=str.encode))
    sums[FILES] = hashlib.sha256(files.encode()).hexdigest()
    for name in signed_files:
        with opened(folder, name) as file:
            sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    listed = (f"{sums[name]}  ./{name}\n" for name in sorted(sums, key=str.encode))
    return [(FILES, files), (SUMS, "".join(listed))]
