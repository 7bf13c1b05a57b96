"""A bundle's folder as it lies there: what is in it, and who else could change it.

Nothing here follows a link: what a bundle holds is inside it.
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
class Found:
    """What lies in a bundle's folder.

    Attributes:
        files: regular files the bundle is to have, by their path in it.
        faults: what it must not have, one phrase each.
    """

    files: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


def parents(names: Iterable[str]) -> set[str]:
    """The folders files lie in, by their paths in the bundle."""
    found = {str(above) for name in names for above in PurePosixPath(name).parents}
    return found - {"."}


def shown(name: str) -> str:
    """A file's name as a message can hold it, whatever bytes it is made of."""
    return name if name.isprintable() else ascii(name)


@contextlib.contextmanager
def opened(folder: Path, name: str) -> Iterator[BufferedReader]:
    """Open a regular file of a bundle for reading, without following a link on the way.

    Raises:
        Refused: it is not there, is no regular file, or cannot be read.
    """
    *above, last = name.split("/")
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in above:
                below = os.open(part, _FOLDER, dir_fd=place)
                os.close(place)
                place = below
            # A pipe would make this wait for a writer.
            handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
        finally:
            os.close(place)
    except FileNotFoundError as error:
        raise Refused(f"{folder / shown(name)} is missing") from error
    except OSError as error:
        reason = "it is or lies behind a link" if _behind_a_link(folder, name) else error.strerror
        raise Refused(f"{folder / shown(name)} cannot be read: {reason}") from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused(f"{folder / shown(name)} is no regular file")
        yield file


def _behind_a_link(folder: Path, name: str) -> bool:
    path = PurePosixPath(name)
    return any((folder / each).is_symlink() for each in (path, *path.parents) if str(each) != ".")


def look(folder: Path, wanted: Iterable[str]) -> Found:
    """See whether a bundle's folder holds nothing but the files it is to hold.

    Args:
        wanted: their paths. That one is missing is no fault here.

    Raises:
        Refused: a folder cannot be read.
    """
    found, known = Found(), set(wanted)
    folders = parents(known)
    writable = _writable_by_others(folder)
    found.faults += _places_above(folder)

    def visit(path: Path, prefix: str) -> None:
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                name = prefix + entry.name
                status = entry.stat(follow_symlinks=False)
                kind = next((word for test, word in _KINDS if test(status.st_mode)), "")
                is_folder = stat.S_ISDIR(status.st_mode)
                if kind:
                    found.faults.append(f"{shown(name)} is {kind}")
                elif name not in (folders if is_folder else known):
                    slash = "/" if is_folder else ""
                    found.faults.append(f"{shown(name)}{slash} is not in the manifest")
                else:
                    found.faults += writable(status, shown(name))
                    if is_folder:
                        visit(path / entry.name, f"{name}/")
                    else:
                        found.files.add(name)

    try:
        found.faults += writable(folder.stat(), "the folder")
        visit(folder, "")
    except OSError as error:
        raise Refused(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    return found


def _writable_by_others(folder: Path) -> Callable[[os.stat_result, str], list[str]]:
    """A check of who but this user and root can change a file after it was proved.

    Hard links need none of their own: a file has one owner and mode, whatever its names.
    """
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        trusted.add(int(os.environ["SUDO_UID"]))
    read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY) if folder.exists() else False

    def faults(status: os.stat_result, name: str) -> list[str]:
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

    return faults


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _private_group(status: os.stat_result) -> bool:
    """Whether a file's group is its owner's alone, as distributions with umask 002 make them."""
    try:
        owner = pwd.getpwuid(status.st_uid)
    except KeyError:
        return False
    return status.st_gid == owner.pw_gid and (status.st_gid == status.st_uid)


def _places_above(folder: Path) -> list[str]:
    """Folders above in which somebody else could put another folder in this one's place."""
    sticky_or_closed = (
        (above, above.stat().st_mode) for above in folder.absolute().parents if above.is_dir()
    )
    return [
        f"the folder {above} above it can be written by everybody"
        for above, mode in sticky_or_closed
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX
    ]
