"""Two lists with which a bundle is proved by a shell alone, before anything of it runs.

FILES        every file and folder, as ``find . -printf '%y %p\\n' | LC_ALL=C sort`` prints them
SHA256SUMS   as ``sha256sum --check`` reads them; signed, where the manifest is

Both describe the whole bundle, also in one that leaves out what an earlier one holds.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from .tree import opened, parents

FILES, SUMS = "FILES", "SHA256SUMS"
MANIFEST = "MANIFEST.json"


def signature_of(name: str) -> str:
    """Where ssh-keygen puts the signature of a file."""
    return f"{name}.sig"


#: What a bundle has besides the files its manifest names.
OWN = frozenset({MANIFEST, signature_of(MANIFEST), FILES, SUMS, signature_of(SUMS)})


def write(folder: Path, manifest: dict[str, Any]) -> None:
    """Write both lists of a bundle whose manifest is written, and signed if it is to be."""
    for name, text in _texts(folder, manifest):
        (folder / name).write_text(text)


def problems(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Which of the lists do not say what the manifest says, one phrase each.

    Raises:
        Refused: one is missing, or a link.
    """
    told = []
    for name, text in _texts(folder, manifest):
        with opened(folder, name) as file:
            if file.read(len(text.encode()) + 1) != text.encode():
                told.append(f"{name} was altered")
    return told


def _texts(folder: Path, manifest: dict[str, Any]) -> list[tuple[str, str]]:
    delta = (manifest.get("since") or {}).get("image_delta")
    sums = {name: entry["sha256"] for name, entry in manifest["files"].items() if name != delta}
    signed = (folder / signature_of(MANIFEST)).is_file()
    own = {MANIFEST, *({signature_of(MANIFEST)} if signed else ())}
    names = {*sums, *own, FILES, SUMS, *({signature_of(SUMS)} if signed else ())}
    lines = [f"f ./{name}" for name in names] + [f"d ./{name}" for name in parents(names)]
    files = "".join(f"{line}\n" for line in sorted(["d .", *lines], key=str.encode))
    sums[FILES] = hashlib.sha256(files.encode()).hexdigest()
    for name in own:
        with opened(folder, name) as file:
            sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    listed = (f"{sums[name]}  ./{name}\n" for name in sorted(sums, key=str.encode))
    return [(FILES, files), (SUMS, "".join(listed))]
