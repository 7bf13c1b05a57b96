"""Taking model archives apart without trusting them: a block at a time, and within bounds."""

from __future__ import annotations

import contextlib
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from .forward import Forward, TooMuch

#: Bytes of one file, of all files of an archive, and how many it may hold. The largest OCR models
#: that are published have a quarter of a gigabyte; a wheel has some hundred files.
FILE_LIMIT = 1 << 30
TOTAL_LIMIT = 2 << 30
MEMBERS_LIMIT = 10_000
_BLOCK = 1 << 20
#: Bytes of a member's headers (long names, extended headers), or of a zip's directory.
_HEADERS = 4 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz"}
_PLAIN_ZIP = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
#: What the readers raise for bytes they do not understand.
_DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError,
    OSError, ValueError, NotImplementedError, OverflowError, RecursionError,
)  # fmt: skip


class UnsafeArchive(Exception):
    """An archive holds what a model archive has no business to hold."""


@contextlib.contextmanager
def _told(archive: str) -> Iterator[None]:
    """Whatever a reader raises is an UnsafeArchive."""
    try:
        yield
    except TooMuch as error:
        raise UnsafeArchive(f"{archive}: {error}") from error
    except _DAMAGED as error:
        raise UnsafeArchive(f"{archive} is no whole tar or zip archive: {error}") from error


@dataclass(frozen=True)
class Member:
    """A regular file of an archive, to be read before the next one is asked for.

    Attributes:
        size: bytes the archive says it has.
    """

    archive: str
    size: int
    stream: IO[bytes]

    def copy_to(self, target: Path) -> None:
        """Write the content to ``target``, a block at a time.

        Raises:
            UnsafeArchive: it is not what the archive says, or damaged.
        """
        copied = 0
        with target.open("wb") as file:
            while block := self._block():
                copied += len(block)
                if copied > self.size:
                    break
                file.write(block)
        if copied != self.size:
            raise UnsafeArchive(
                f"{self.archive} is no whole tar or zip archive: {target.name} has not the "
                f"{self.size} bytes it should have"
            )

    def _block(self) -> bytes:
        with _told(self.archive):
            return self.stream.read(_BLOCK)


class _Account:
    """What the members of one archive add up to."""

    def __init__(self) -> None:
        self.members = self.total = 0

    def add(self, name: str, size: int) -> None:
        """Count a member before anything of it is read."""
        self.members += 1
        self.total += max(size, 0)
        if self.members > MEMBERS_LIMIT:
            raise UnsafeArchive(f"more than {MEMBERS_LIMIT:,} files: no model archive")
        if size > FILE_LIMIT:
            raise UnsafeArchive(
                f"{name!r} has {size / 1e6:,.0f} MB unpacked, more than the "
                f"{FILE_LIMIT / 1e6:,.0f} MB a model file may have"
            )
        if self.total > TOTAL_LIMIT:
            raise UnsafeArchive(
                f"its files have more than {TOTAL_LIMIT / 1e6:,.0f} MB unpacked: no model archive"
            )


def _safe_name(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UnsafeArchive(f"{name!r} would be written outside the folder")
    return path


def _wanted(path: PurePosixPath) -> bool:
    # macOS leaves a "._name" beside every name (the guide's archives have them).
    return not path.name.startswith("._") and "__MACOSX" not in path.parts


def _tar_members(archive: Path, plain: Forward) -> Iterator[tuple[PurePosixPath, Member]]:
    account = _Account()
    plain.left = _HEADERS
    with tarfile.open(fileobj=cast("IO[bytes]", plain), mode="r:") as opened:
        while member := opened.next():
            opened.members = []  # type: ignore[attr-defined]  # it would remember each of them
            path = _safe_name(member.name)
            account.add(member.name, member.size)
            if not (member.isfile() or member.isdir()) or member.issparse():
                raise UnsafeArchive(
                    f"{member.name!r} is a link or a device or sparse, not a plain file"
                )
            stream = opened.extractfile(member)
            if stream is not None and _wanted(path):
                plain.left = member.size
                yield path, Member(archive.name, member.size, stream)
            plain.left = _HEADERS


def _zip_members(archive: Path, opened: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, Member]]:
    account = _Account()
    for info in opened.infolist():
        account.add(info.filename, info.file_size)
    for info in opened.infolist():
        path = _safe_name(info.filename)
        if info.is_dir() or not _wanted(path):
            continue
        if info.flag_bits & 1 or info.compress_type not in _PLAIN_ZIP:
            raise UnsafeArchive(f"{info.filename!r} is encrypted or packed in an unusual way")
        with opened.open(info) as stream:
            yield path, Member(archive.name, info.file_size, stream)


def members(archive: Path) -> Iterator[tuple[PurePosixPath, Member]]:
    """Regular files of a tar (plain, gzip, bzip2, xz) or zip: relative path and content.

    Memory stays small whatever the archive says or holds.

    Raises:
        UnsafeArchive: absolute or climbing paths, links or devices, more or larger files than a
            model has; or no archive at all.
    """
    with _told(archive.name), archive.open("rb") as file:
        if file.seek(0, 2) > TOTAL_LIMIT:
            raise UnsafeArchive(f"{archive.name} has more than {TOTAL_LIMIT / 1e6:,.0f} MB")
        file.seek(0)
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(cast("IO[bytes]", _Bounded(file))) as opened_zip:
                yield from _zip_members(archive, opened_zip)
        else:
            file.seek(0)
            kind = _MAGIC.get(file.read(2), "")
            file.seek(0)
            # Room for headers and padding besides the files themselves.
            room = MEMBERS_LIMIT * 4 * tarfile.BLOCKSIZE
            yield from _tar_members(archive, Forward(file, kind, TOTAL_LIMIT + room))


class _Bounded:
    """A file of which nobody reads more than a few megabytes at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, _HEADERS + 1) if size >= 0 else _HEADERS + 1)
        if len(data) > _HEADERS:
            raise TooMuch("its directory is larger than a model archive needs")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
