"""Bounds for the directories of tags that TIFF files and EXIF data consist of.

Pillow reads every tag of a directory into memory. Tags may share their bytes, so a small file can
unpack to gigabytes; and of a tag that is there twice Pillow takes the last and libtiff, which
decodes, the first. Both are looked at here, in the one function that reads directories for every
format.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from typing import IO, Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2

#: Entries of one directory; cameras write a hundred.
_MOST_ENTRIES = 4000
#: Tags that list the strips or tiles of a picture. Pillow makes objects of each; strips of one row
#: are 65,000 at most.
_PIECES = (273, 324)
_MOST_PIECES = 100_000
_STRUCTURE = range(254, 340)  # tags that say how the pixels are stored: once each
_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8,
                  13: 4, 16: 8, 17: 8, 18: 8}  # fmt: skip
_load = ImageFileDirectory_v2.load


def _entries(file: IO[bytes], endian: str, big: bool) -> list[tuple[int, int, int]]:
    """(tag, type, count) of the directory that begins here."""
    head = file.read(8 if big else 2)
    if len(head) < (8 if big else 2):
        return []
    number = struct.unpack(endian + ("Q" if big else "H"), head)[0]
    if number > _MOST_ENTRIES:
        raise SyntaxError("the directory of tags is too long")
    size, form = (20, "HHQ") if big else (12, "HHL")
    data = file.read(number * size)
    ends = range(0, len(data) - size + 1, size)
    return [struct.unpack_from(endian + form, data, start) for start in ends]


def _bounded_load(directory: Any, file: IO[bytes]) -> None:
    start = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(start)
    entries = _entries(file, directory._endian, directory._bigtiff)
    file.seek(start)
    if sum(_BYTES_OF_TYPE.get(kind, 0) * count for _, kind, count in entries) > 2 * length:
        raise SyntaxError("the tags are larger than the file")
    if any(tag in _PIECES and count > _MOST_PIECES for tag, _, count in entries):
        raise SyntaxError("the picture is stored in too many pieces")
    if any(
        times > 1 and tag in _STRUCTURE for tag, times in Counter(e[0] for e in entries).items()
    ):
        raise SyntaxError("a tag is there twice")
    _load(directory, file)


def bound() -> None:
    """Have Pillow look before it loads a directory."""
    ImageFileDirectory_v2.load = _bounded_load  # type: ignore[method-assign, assignment]
