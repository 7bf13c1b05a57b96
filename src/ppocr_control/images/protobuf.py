"""Reads and writes the fields of protocol buffer messages without the protobuf package.

Models are such messages: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}


class NotAMessage(ValueError):
    """The bytes are no protocol buffer message; ``truncated`` says whether they may begin one."""

    def __init__(self, truncated: bool) -> None:
        super().__init__("a truncated message" if truncated else "no message")
        self.truncated = truncated


def _varint(data: memoryview, offset: int) -> tuple[int, int]:
    """Return the number at ``offset``, and the offset after it."""
    number = shift = 0
    while True:
        if offset >= len(data):
            raise NotAMessage(truncated=True)
        byte = data[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, offset
        if shift > 63:
            raise NotAMessage(truncated=False)


def fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield number and content of each field; of fixed numbers the bytes.

    Raises:
        NotAMessage: it is none, or truncated.
    """
    offset = 0
    while offset < len(data):
        tag, offset = _varint(data, offset)
        kind = tag & 7
        if kind == _VARINT:
            number, offset = _varint(data, offset)
            yield tag >> 3, number
            continue
        if kind != _BYTES and kind not in _SIZES:
            raise NotAMessage(truncated=False)
        size = _SIZES.get(kind)
        if size is None:
            size, offset = _varint(data, offset)
        if offset + size > len(data):
            raise NotAMessage(truncated=True)
        yield tag >> 3, data[offset : offset + size]
        offset += size


def messages(data: memoryview, *path: int) -> Iterator[memoryview]:
    """Yield the messages that lie at a path of field numbers."""
    if not path:
        yield data
        return
    for number, content in fields(data):
        if number == path[0] and isinstance(content, memoryview):
            yield from messages(content, *path[1:])


def numbers(data: memoryview, field: int) -> list[int]:
    """The signed whole numbers of a repeated field that is not packed."""
    found = (content for number, content in fields(data) if number == field)
    return [n - (1 << 64) if n >> 63 else n for n in found if isinstance(n, int)]


def _written_varint(number: int) -> bytes:
    number &= (1 << 64) - 1  # negative ones take all ten bytes
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def field(number: int, content: int | bytes) -> bytes:
    """One field as it is written: a whole number, or bytes of a text or a message."""
    if isinstance(content, int):
        return _written_varint(number << 3 | _VARINT) + _written_varint(content)
    return _written_varint(number << 3 | _BYTES) + _written_varint(len(content)) + content
