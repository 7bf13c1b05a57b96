"""Load sample pictures and what is expected of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True)
class Sample:
    """One picture file. ``lines`` is None when nothing is known about its text."""

    path: Path
    lines: tuple[str, ...] | None
    tags: tuple[str, ...] = ()
    min_confidence: float = 0.0
    needs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name, which also names the test."""
        return self.path.name


def _from_entry(folder: Path, entry: Any) -> Sample:
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise ValueError(f'{folder}/samples.json: each sample is an object with a "file"')
    path = folder / entry["file"]
    if path.parent != folder or not path.is_file():
        raise ValueError(f"{folder}/samples.json names {entry['file']}, which is not in {folder}")
    lines = entry.get("lines")
    if lines is not None and not (
        isinstance(lines, list) and all(isinstance(line, str) for line in lines)
    ):
        raise ValueError(f'{folder}/samples.json: "lines" of {path.name} is a list of strings')
    needs = entry.get("needs", {})
    if not isinstance(needs, dict):
        raise ValueError(f'{folder}/samples.json: "needs" of {path.name} is an object')
    return Sample(
        path=path,
        lines=None if lines is None else tuple(lines),
        tags=tuple(entry.get("tags", ())),
        min_confidence=float(entry.get("min_confidence", 0.0)),
        needs=needs,
    )


def _from_folder(folder: Path) -> list[Sample]:
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            continue
        text = path.with_suffix(".txt")
        lines = None
        if text.is_file():
            read = text.read_text(encoding="utf-8").splitlines()
            lines = tuple(line for line in read if line.strip())
        found.append(Sample(path=path, lines=lines))
    return found


def load_samples(folder: Path) -> list[Sample]:
    """Return the samples of a folder.

    With a samples.json the samples are what it lists (``file``, and any of ``lines``, ``tags``,
    ``min_confidence``, and ``needs`` as in needs.py); without one they are all pictures, each
    with the lines of a NAME.txt beside it, in reading order. A picture without one is only
    checked for the form of its answer.

    Raises ValueError with one sentence when the folder holds none, or samples.json is wrong.
    """
    index = folder / "samples.json"
    if index.is_file():
        try:
            entries = json.loads(index.read_text(encoding="utf-8"))["samples"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'{index} is not JSON with a list "samples": {error!r}') from None
        found = [_from_entry(folder, entry) for entry in entries]
    else:
        found = _from_folder(folder)
    if not found:
        raise ValueError(f"{folder} holds no sample pictures ({', '.join(PICTURE_SUFFIXES)})")
    return found
