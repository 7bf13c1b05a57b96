"""Decompression of bodies (Content-Encoding): in pieces, within a limit."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from .bodies import BodyError

_GZIP = 16 + zlib.MAX_WBITS
#: Bytes unpacked at once: what is asked for next may depend on what came out.
PIECE = 256 * 1024
#: Members of one gzip body. Tools that pack in blocks write one for each 64 kB.
_MEMBERS = 4096


def packed(content_encoding: str) -> bool:
    """Whether a body comes as gzip.

    Args:
        content_encoding: of the request's head; empty for none.

    Raises:
        BodyError: it is packed in another way, or more than once.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name and name != "identity"]
    if not names:
        return False
    if len(names) > 1 or names[0] not in ("gzip", "x-gzip"):
        raise BodyError("Content-Encoding: only gzip is taken, once")
    return True


class Unpacker:
    """Unpacks one gzip body that comes in parts."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._members = 1
        self._begun = False

    def feed(self, part: bytes) -> Iterator[bytes]:
        """What a part of the body unpacks to, in pieces of at most ``PIECE`` bytes; some are empty.

        Raises:
            BodyError: this is no gzip.
        """
        while part:
            if self._stream.eof:
                part = self._next_member(part)
                if not part:
                    return
            self._begun = True
            yield self._unpack(part)
            part = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        # What zlib still holds when it has taken all that came.
        while self._begun and not self._stream.eof and (piece := self._unpack(b"")):
            yield piece

    def _unpack(self, part: bytes) -> bytes:
        try:
            return self._stream.decompress(part, PIECE)
        except zlib.error as error:
            raise BodyError("the body is no gzip, though Content-Encoding says so") from error

    def _next_member(self, part: bytes) -> bytes:
        """Gzip files may follow one another, and zeros may follow the last."""
        part = part.lstrip(b"\0")
        if part:
            self._members += 1
            if self._members > _MEMBERS:
                raise BodyError(f"the body is more than {_MEMBERS} gzip files in a row")
            self._stream = zlib.decompressobj(_GZIP)
        return part

    def end(self) -> None:
        """The body has ended.

        Raises:
            BodyError: its gzip has not.
        """
        if self._begun and not self._stream.eof:
            raise BodyError("the body ends in the middle of its gzip")
