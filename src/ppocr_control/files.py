"""Reading files in blocks, with one block size for the whole package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ppocr_contract.models import file_sha256

__all__ = ["CHUNK", "BlockReader", "file_sha256", "read_blocks"]

#: Bytes read at a time.
CHUNK = 1 << 20


def read_blocks(file: Any) -> Iterator[bytes]:
    """Yield the rest of an open file, CHUNK bytes at a time."""
    while block := file.read(CHUNK):
        yield block


class BlockReader:
    """Makes an iterable of blocks readable like a file, as tarfile needs it for a stream."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self._rest = iter(blocks), memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes; fewer only at the end."""
        parts = []
        while size:
            self._rest = self._rest or memoryview(next(self._blocks, b""))
            if not self._rest:
                break
            parts.append(self._rest[:size])
            size -= len(parts[-1])
            self._rest = self._rest[len(parts[-1]) :]
        return b"".join(parts)

    def parts(self, size: int) -> Iterator[bytes]:
        """Yield the next ``size`` bytes in blocks."""
        while size and (block := self.read(min(size, CHUNK))):
            size -= len(block)
            yield block
