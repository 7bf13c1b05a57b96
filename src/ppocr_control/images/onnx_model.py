"""What an ONNX file says of itself, read without the onnx package.

An ONNX model is one protocol buffer message, ModelProto; its field 14 is a list of key and value.
Recognition models converted for rapidocr keep their dictionary there, under ``character``.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_METADATA = 14
#: Bytes one entry may have; a dictionary of a hundred thousand characters has 0.4 MB.
_METADATA_BYTES = 16_000_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class NotOnnx(ValueError):
    """The file is no ONNX model, or a truncated one."""


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """The number at ``place``, and the place behind it."""
    number = shift = 0
    while True:
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, place
        if shift > 63:
            raise NotOnnx("no ONNX model")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field; plain numbers have none."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        size, kind = 0, tag & 7
        if kind == _VARINT:
            _, place = _varint(data, place)
        elif kind == _BYTES:
            size, place = _varint(data, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise NotOnnx("no ONNX model")
        if place + size > len(data):
            raise NotOnnx("a truncated ONNX model")
        yield tag >> 3, data[place : place + size]
        place += size


def metadata_of(path: Path) -> dict[str, str]:
    """:func:`metadata` of a file, of which only what is looked at is read."""
    if not path.stat().st_size:
        raise NotOnnx("an empty file")
    with path.open("rb") as file:
        return metadata(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def metadata(content: bytes | mmap.mmap) -> dict[str, str]:
    """Keys and values the model carries.

    Raises:
        NotOnnx: ``content`` is no whole ONNX model.
    """
    pairs = []
    try:
        for number, entry in _fields(memoryview(content)):
            if number == _METADATA:
                if len(entry) > _METADATA_BYTES:
                    raise NotOnnx("no ONNX model whose metadata can be read: it is too large")
                pairs.append({key: bytes(value).decode() for key, value in _fields(entry)})
    except (IndexError, UnicodeDecodeError) as error:
        raise NotOnnx("a truncated ONNX model") from error
    return {pair.get(1, ""): pair.get(2, "") for pair in pairs}
