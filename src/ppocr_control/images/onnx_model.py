"""Reads the metadata of an ONNX file without the onnx package.

An ONNX model is one protocol buffer message, ModelProto; its field 14 is a list of key and value.
Recognition models converted for rapidocr keep their dictionary there, under ``character``.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_METADATA = 14
#: Maximum size of an entry in bytes; a dictionary of a hundred thousand characters has 0.4 MB.
_METADATA_BYTES = 16_000_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class NotOnnx(ValueError):
    """The file is not an ONNX model, or truncated."""


def _varint(data: memoryview, offset: int) -> tuple[int, int]:
    """Return the number at ``offset``, and the offset after it."""
    number = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, offset
        if shift > 63:
            raise NotOnnx("no ONNX model")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field; the content of plain numbers is empty."""
    offset = 0
    while offset < len(data):
        tag, offset = _varint(data, offset)
        size, kind = 0, tag & 7
        if kind == _VARINT:
            _, offset = _varint(data, offset)
        elif kind == _BYTES:
            size, offset = _varint(data, offset)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise NotOnnx("no ONNX model")
        if offset + size > len(data):
            raise NotOnnx("a truncated ONNX model")
        yield tag >> 3, data[offset : offset + size]
        offset += size


def metadata_of(path: Path) -> dict[str, str]:
    """Return :func:`metadata` of a file, of which only the needed parts are read."""
    if not path.stat().st_size:
        raise NotOnnx("an empty file")
    with path.open("rb") as file:
        return metadata(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def metadata(content: bytes | mmap.mmap) -> dict[str, str]:
    """Return the keys and values in the model.

    Raises:
        NotOnnx: ``content`` is not a complete ONNX model.
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
