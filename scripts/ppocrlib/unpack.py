"""Taking model archives apart without trusting them."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


class UnsafeArchive(Exception):
    """An archive holds what a model archive has no business to hold."""


def _safe_name(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UnsafeArchive(f"{name!r} would be written outside the folder")
    return path


def _wanted(path: PurePosixPath) -> bool:
    # macOS leaves a "._name" beside every name (the guide's archives have them).
    return not path.name.startswith("._") and "__MACOSX" not in path.parts


def _tar_members(archive: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    for member in archive:
        path = _safe_name(member.name)
        if member.isdir():
            continue
        if not member.isfile():
            raise UnsafeArchive(f"{member.name!r} is a link or a device, not a file")
        stream = archive.extractfile(member)
        if stream is not None and _wanted(path):
            yield path, stream.read()


def _zip_members(archive: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    for info in archive.infolist():
        path = _safe_name(info.filename)
        if not info.is_dir() and _wanted(path):
            yield path, archive.read(info)


def members(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Regular files of a tar (any compression) or zip: relative path and content.

    Raises:
        UnsafeArchive: absolute or climbing paths, links or devices; or no archive at all.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened_zip:
                yield from _zip_members(opened_zip)
        else:
            with tarfile.open(archive) as opened_tar:
                yield from _tar_members(opened_tar)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise UnsafeArchive(f"{archive.name} is no whole tar or zip archive: {error}") from error
