"""Label files: a picture and its label a line, with a tab between."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .findings import Finding

#: Unknown characters that are named; the rest is counted.
_NAMED = 5
#: Labels of a direction classifier whose config names none.
CLASSES = frozenset({"0", "180"})


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a label file that has the form of one; PaddleOCR takes one of its pictures."""

    place: str
    pictures: tuple[Path, ...]
    label: str


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a line has to keep to.

    Attributes:
        kind: rec, det or cls.
        characters: of the dictionary; empty where labels are no texts.
        longest: characters in a line (max_text_length).
        classes: labels of a classifier (Global.label_list).
    """

    kind: str
    characters: frozenset[str] = frozenset()
    longest: int = 25
    classes: frozenset[str] = CLASSES


def outside(name: str) -> bool:
    """Whether a path leaves the data set: a host gets only what is in it."""
    path = Path(os.path.normpath(name))
    return path.is_absolute() or path.parts[:1] == (os.pardir,)


def read(file: Path, folder: Path, delimiter: str = "\t") -> tuple[list[Line], list[Finding]]:
    """The lines of a label file, and what PaddleOCR would skip or misread.

    Raises:
        OSError: it cannot be read.
    """
    lines, found = [], []
    for number, data in enumerate(file.read_bytes().split(b"\n"), 1):
        place = f"{file}:{number}"
        if not data:
            continue
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            remedy = "iconv -f GB18030 -t UTF-8 writes the file as UTF-8"
            found.append(Finding("label_encoding", place, "the line is not UTF-8", remedy))
            continue
        if text.endswith("\r"):
            found.append(
                Finding(
                    "label_line_end", place, "the line ends with CRLF", "sed -i 's/\\r$//' the file"
                )
            )
            text = text[:-1]
        picture, separator, label = text.partition(delimiter)
        if not separator:
            remedy = f"write the picture, {delimiter!r} and its label"
            found.append(Finding("label_form", place, f"the line has no {delimiter!r}", remedy))
            continue
        pictures = _pictures(picture)
        if left := next(filter(outside, pictures), None):
            what = f"{left} is outside trainer_data, and the host gets only what is in it"
            remedy = "put the picture into trainer_data, and write its path from there"
            found.append(Finding("picture_outside", place, what, remedy, fatal=True))
            continue
        lines.append(Line(place, tuple(folder / each for each in pictures), label))
    return lines, found


def _pictures(text: str) -> list[str]:
    """The names before a label: PaddleOCR takes one of a JSON list at random each time."""
    if text.startswith("["):
        with contextlib.suppress(ValueError):
            names: list[str] = json.loads(text)
            if names and all(isinstance(name, str) for name in names):
                return names
    return [text]


def check(lines: Iterable[Line], limits: Limits) -> list[Finding]:
    """What is wrong with the labels themselves."""
    examine = {"rec": _check_text, "det": _check_boxes, "cls": _check_class}.get(limits.kind)
    found = [] if examine is None else [each for line in lines for each in examine(line, limits)]
    unknown: collections.Counter[str] = collections.Counter()
    first: dict[str, str] = {}
    if limits.characters:
        for line in lines:
            for character in line.label:
                if character not in limits.characters:
                    unknown[character] += 1
                    first.setdefault(character, line.place)
    for character, times in unknown.most_common(_NAMED):
        rest = f" (and {len(unknown) - 1} more characters)" if len(unknown) > 1 else ""
        found.append(
            Finding(
                "unknown_character", first[character],
                f"{character!r} is not in the dictionary, {times} times{rest}, and would be "
                "dropped from labels",
                "add it to trainer_dictionary, or take its lines out",
            )
        )  # fmt: skip
    return found


def _check_text(line: Line, limits: Limits) -> Iterator[Finding]:
    if not line.label:
        yield Finding(
            "label_empty", line.place, "the label is empty", "write the text or remove the line"
        )
    elif len(line.label) > limits.longest:
        yield Finding(
            "label_length", line.place,
            f"the label has {len(line.label)} characters, and max_text_length is {limits.longest}: "
            "the line would be left out",
            "raise Global.max_text_length in trainer_overrides, or cut the picture",
        )  # fmt: skip


def _check_boxes(line: Line, limits: Limits) -> Iterator[Finding]:
    try:
        boxes = json.loads(line.label)
        sound = bool(boxes) and all(
            len(box["points"]) >= 4 and "transcription" in box for box in boxes
        )
    except (ValueError, TypeError, KeyError):
        sound = False
    if not sound:
        yield Finding(
            "label_form", line.place, "the label is no list of boxes",
            'write [{"transcription": "text", "points": [[x, y], ...]}, ...] on one line',
        )  # fmt: skip


def _check_class(line: Line, limits: Limits) -> Iterator[Finding]:
    if line.label not in limits.classes:
        yield Finding(
            "label_class", line.place, f"{line.label!r} is no class",
            f"write one of {', '.join(sorted(limits.classes))}",
        )  # fmt: skip


def check_pictures(lines: Iterable[Line], readable: Callable[[Path], bool]) -> list[Finding]:
    """Pictures that are missing or cannot be decoded."""
    found = []
    for line, picture in _each(lines):
        if not picture.is_file():
            remedy = "correct the path, which begins at trainer_data, or remove the line"
            what = f"there is no picture {picture}"
            found.append(Finding("picture_missing", line.place, what, remedy))
        elif not readable(picture):
            remedy = "save it again as PNG or JPEG, or remove the line"
            what = f"{picture.name} cannot be decoded"
            found.append(Finding("picture_unreadable", line.place, what, remedy))
    return found


def check_shared(train: Iterable[Line], validation: Iterable[Line]) -> list[Finding]:
    """Pictures that are trained with and measured with, by name or by content."""
    sizes: dict[int, list[tuple[Line, Path]]] = collections.defaultdict(list)
    for line, picture in _each(train):
        if picture.is_file():
            sizes[picture.stat().st_size].append((line, picture))
    found = []
    for line, picture in _each(validation):
        like = sizes.get(picture.stat().st_size, []) if picture.is_file() else []
        same = next((one for one, other in like if _same(other, picture)), None)
        if same:
            what = f"the picture is in training too ({same.place})"
            remedy = "remove one of the two lines; accuracy would say nothing"
            found.append(Finding("shared_picture", line.place, what, remedy))
    return found


def _each(lines: Iterable[Line]) -> Iterator[tuple[Line, Path]]:
    return ((line, picture) for line in lines for picture in line.pictures)


def _same(one: Path, other: Path) -> bool:
    return one == other or _digest(one) == _digest(other)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
