"""Scans a bundle's folder: its contents, and who else could change them.

Links are never followed: a bundle contains all its files.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path, PurePosixPath

from ..errors import Refused

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass
class Contents:
    """The contents of a bundle's folder.

    Attributes:
        files: the expected regular files, by their path in the bundle.
        problems: a phrase for each thing it must not contain.
    """

    files: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def parents(names: Iterable[str]) -> set[str]:
    """Return the folders of files, by their paths in the bundle."""
    found = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    return found - {"."}


def shown(name: str) -> str:
    """Return a file's name in printable form, whatever bytes it contains."""
    return name if name.isprintable() else ascii(name)


@contextlib.contextmanager
def opened(folder: Path, name: str) -> Iterator[BufferedReader]:
    """Open a regular file of a bundle for reading, without following links.

    Raises:
        Refused: it is missing, not a regular file, or cannot be read.
    """
    *folders, last = name.split("/")
    try:
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in folders:
                child = os.open(part, _FOLDER, dir_fd=parent)
                os.close(parent)
                parent = child
            # Non-blocking, because opening a named pipe waits for a writer.
            handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
        finally:
            os.close(parent)
    except FileNotFoundError as error:
        raise Refused(f"{folder / shown(name)} is missing") from error
    except OSError as error:
        reason = "it is or lies behind a link" if _behind_a_link(folder, name) else error.strerror
        raise Refused(f"{folder / shown(name)} cannot be read: {reason}") from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused(f"{folder / shown(name)} is not a regular file")
        yield file


def _behind_a_link(folder: Path, name: str) -> bool:
    path = PurePosixPath(name)
    return any((folder / each).is_symlink() for each in (path, *path.parents) if str(each) != ".")


def scan(folder: Path, wanted: Iterable[str]) -> Contents:
    """Check that a bundle's folder contains nothing but expected files.

    Args:
        wanted: their paths. Missing files are not reported.

    Raises:
        Refused: a folder cannot be read.
    """
    found, known = Contents(), set(wanted)
    folders = parents(known)
    writable = _writable_by_others(folder)
    found.problems += _replaceable_parents(folder)

    def visit(path: Path, prefix: str) -> None:
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                name = prefix + entry.name
                status = entry.stat(follow_symlinks=False)
                kind = next((name for test, name in _KINDS if test(status.st_mode)), "")
                is_folder = stat.S_ISDIR(status.st_mode)
                if kind:
                    found.problems.append(f"{shown(name)} is {kind}")
                elif name not in (folders if is_folder else known):
                    slash = "/" if is_folder else ""
                    found.problems.append(f"{shown(name)}{slash} is not in the manifest")
                else:
                    found.problems += writable(status, shown(name))
                    if is_folder:
                        visit(path / entry.name, f"{name}/")
                    else:
                        found.files.add(name)

    try:
        found.problems += writable(folder.stat(), "the folder")
        visit(folder, "")
    except OSError as error:
        raise Refused(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    return found


def _writable_by_others(folder: Path) -> Callable[[os.stat_result, str], list[str]]:
    """Return a check for who else than this user and root can change a verified file.

    Hard links need no extra check: a file has one owner and mode under all its names.
    """
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        trusted.add(int(os.environ["SUDO_UID"]))
    read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY) if folder.exists() else False

    def problems(status: os.stat_result, name: str) -> list[str]:
        if not stat.S_ISDIR(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
            return [f"{name} is setuid or setgid"]
        if read_only:
            return []
        if status.st_uid not in trusted:
            return [f"{name} belongs to another user ({_user(status.st_uid)})"]
        if status.st_mode & stat.S_IWOTH:
            return [f"{name} can be written by everybody"]
        if status.st_mode & stat.S_IWGRP and not _private_group(status):
            return [f"{name} can be written by its group"]
        return []

    return problems


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _private_group(status: os.stat_result) -> bool:
    """Return whether a file's group contains only its owner, as with umask 002."""
    try:
        owner = pwd.getpwuid(status.st_uid)
    except KeyError:
        return False
    return status.st_gid == owner.pw_gid and (status.st_gid == status.st_uid)


def _replaceable_parents(folder: Path) -> list[str]:
    """Return the parent folders in which someone else could replace this one."""
    sticky_or_closed = (
        (parent, parent.stat().st_mode) for parent in folder.absolute().parents if parent.is_dir()
    )
    return [
        f"the folder {parent} above it can be written by everybody"
        for parent, mode in sticky_or_closed
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX
    ]
