"""A compressed file read forward in bounded steps: its size is looked at by what decodes it."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import IO, Any

_BLOCK = 1 << 18
#: Bytes xz may take for its dictionary; its highest usual level needs 64 MiB.
_XZ_MEMORY = 128 << 20


class TooMuch(Exception):
    """More than was allowed was asked for or came out."""


class _Gzip:
    """zlib's decompressor with the interface of bz2's and lzma's."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, most)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


class _Plain:
    """No compression."""

    eof, unused_data, _rest = False, b"", b""

    def decompress(self, data: bytes, most: int) -> bytes:
        whole = self._rest + data
        self._rest = whole[most:]
        return whole[:most]

    @property
    def needs_input(self) -> bool:
        return not self._rest


def _decompressor(kind: str) -> Any:
    if kind == "gzip":
        return _Gzip()
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY) if kind == "xz" else _Plain()


class Forward:
    """What tarfile needs of a file; seeking back is not possible.

    Args:
        file: opened for reading, at its beginning.
        kind: gzip, bzip2, xz, or empty for none.
        limit: bytes that may come out in all.

    Attributes:
        left: bytes that may be read before it is set anew; what is skipped does not count.
    """

    def __init__(self, file: IO[bytes], kind: str, limit: int) -> None:
        self._file, self._kind, self._limit = file, kind, limit
        self._unpacker = _decompressor(kind)
        self._place = 0
        self.left = 0

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> int:
        if place < self._place:
            raise ValueError("an archive is read forward only")
        while self._place < place and self._some(min(place - self._place, _BLOCK)):
            pass
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; fewer at the end only.

        Raises:
            TooMuch: of more than is allowed.
            EOFError: the compressed data ends too early.
        """
        if not 0 <= size <= self.left:
            raise TooMuch("a header in it is larger than any archive needs")
        self.left -= size
        parts = []
        while size and (block := self._some(size)):
            parts.append(block)
            size -= len(block)
        return b"".join(parts)

    def _some(self, most: int) -> bytes:
        while True:
            fresh = b""
            if self._unpacker.eof:
                fresh = self._unpacker.unused_data or self._file.read(_BLOCK)
                # Padding behind the last stream is nobody's data.
                if not fresh.strip(b"\0"):
                    return b""
                self._unpacker = _decompressor(self._kind)
            elif self._unpacker.needs_input:
                fresh = self._file.read(_BLOCK)
                if not fresh:
                    if not self._kind:
                        return b""
                    raise EOFError("the compressed data ends too early")
            block: bytes = self._unpacker.decompress(fresh, most)
            if block:
                self._place += len(block)
                if self._place > self._limit:
                    raise TooMuch(f"more than {self._limit / 1e6:,.0f} MB come out of it")
                return block
