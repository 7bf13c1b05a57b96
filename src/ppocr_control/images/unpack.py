"""Unpacks untrusted model archives: everything is bounded, nothing is read at once."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from ..files import CHUNK
from ..tarfiles import DAMAGED

#: Maximum bytes and files of an unpacked archive: several times the largest models.
BYTES_LIMIT = 4_000_000_000
FILES_LIMIT = 20_000
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


class UnsafeArchive(Exception):
    """An archive contains something a model archive must not contain."""


class Member:
    """A regular file of an archive, which must be read before the next one is requested.

    Attributes:
        path: its path in the archive.
        size: its declared size in bytes.
    """

    def __init__(self, path: PurePosixPath, size: int, archive: str, stream: IO[bytes]) -> None:
        self.path, self.size = path, size
        self._archive, self._stream = archive, stream

    def blocks(self) -> Iterator[bytes]:
        """Yield its content in blocks.

        Raises:
            UnsafeArchive: it is damaged, or larger than declared.
        """
        left = self.size
        while block := _reading(self._archive, self._stream.read, CHUNK):
            left -= len(block)
            if left < 0:
                raise UnsafeArchive(f"{self._archive}: {self.path} is larger than it declares")
            yield block

    def copy_to(self, target: Path) -> None:
        """Write it to a file; raises like :meth:`blocks`."""
        with target.open("wb") as file:
            for block in self.blocks():
                file.write(block)


class _Bounded(io.RawIOBase):
    """Limits the reads of tarfile, which reads names and pax headers of any length at once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"it has a header of {size} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


class _Allowance:
    """The remaining bytes and files an archive may unpack to."""

    def __init__(self, archive: str) -> None:
        self._archive, self._bytes, self._files = archive, BYTES_LIMIT, FILES_LIMIT

    def take(self, size: int) -> None:
        """Count an entry before it is unpacked."""
        self._bytes -= size
        self._files -= 1
        if self._bytes < 0 or self._files < 0:
            raise UnsafeArchive(
                f"{self._archive} unpacks to more than {BYTES_LIMIT // 1_000_000} MB or "
                f"{FILES_LIMIT} files, more than any model: give an archive with only the model"
            )


def _reading(archive: str, function: Any, *arguments: Any) -> Any:
    """Call a function that reads an archive; turn its many errors into UnsafeArchive."""
    try:
        return function(*arguments)
    except DAMAGED as error:
        raise UnsafeArchive(f"{archive} is not a complete tar or zip archive: {error}") from error


def _safe_name(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UnsafeArchive(f"{name!r} would be written outside the folder")
    return path


def _wanted(path: PurePosixPath) -> bool:
    # macOS adds a "._name" for every file (archives of the PaddleOCR guide have them).
    return not path.name.startswith("._") and "__MACOSX" not in path.parts


def _tar_members(stream: IO[bytes], name: str) -> Iterator[Member]:
    allowance = _Allowance(name)
    archive = _reading(name, tarfile.TarFile, None, "r", cast(Any, _Bounded(stream)))
    while (member := _reading(name, archive.next)) is not None:
        archive.members = []  # tarfile would keep all of them in memory
        path = _safe_name(member.name)
        allowance.take(member.size)
        if member.isdir():
            continue
        if not member.isfile() or member.issparse():
            kind = "a sparse file" if member.issparse() else "a link or a device, not a file"
            raise UnsafeArchive(f"{member.name!r} is {kind}")
        content = archive.extractfile(member)
        if content is not None and _wanted(path):
            yield Member(path, member.size, name, content)


def _zip_members(archive: zipfile.ZipFile, name: str) -> Iterator[Member]:
    allowance = _Allowance(name)
    entries = archive.infolist()
    for info in entries:
        allowance.take(info.file_size)
    for info in entries:
        path = _safe_name(info.filename)
        if not info.is_dir() and _wanted(path):
            with _reading(name, archive.open, info) as content:
                yield Member(path, info.file_size, name, content)


def members(archive: Path) -> Iterator[Member]:
    """Yield the regular files of a tar (plain, gzip, bzip2, xz) or zip.

    Raises:
        UnsafeArchive: absolute paths, ``..``, links or devices; more than the limits of this
            module; or not an archive.
    """
    name = archive.name
    if zipfile.is_zipfile(archive):
        with _reading(name, zipfile.ZipFile, archive) as opened:
            yield from _zip_members(opened, name)
        return
    with archive.open("rb") as file:
        head = file.read(6)
    opener = next((opens for magic, opens in _OPENERS.items() if head.startswith(magic)), open)
    with _reading(name, opener, archive, "rb") as stream:
        yield from _tar_members(stream, name)
