"""Copies files between this machine and hosts, over SSH."""

from __future__ import annotations

import contextlib
import functools
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import Error, LinkLost, Refused
from ..progress import Progress
from .file_systems import (
    FILE,
    FOLDER,
    NOTHING,
    Entry,
    FileSystem,
    FileSystemFull,
    LocalFileSystem,
    RemoteFileSystem,
)
from .host import SshHost
from .openssh import Login
from .retry import retry
from .transport import printable

#: How much of a file's name goes into the name of its partial copy, in bytes (the limit is 255).
_NAME_BYTES = 200


@dataclass
class Copied:
    """The outcome for each file by its destination, and a sentence for each that was not copied."""

    files: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    #: Folders that were created.
    new: set[str] = field(default_factory=set)
    sent: int = 0

    def done(self, path: str, what: str) -> None:
        """Record the outcome of a file once; after a broken connection it is checked again."""
        self.files.setdefault(path, what)
        self.left_out.pop(path, None)

    def as_dict(self) -> dict[str, Any]:
        kinds = list(self.files.values())
        return {
            "copied": kinds.count("copied"), "same": kinds.count("same"), "sent": self.sent,
            "failed": list(self.left_out.values()),
        }  # fmt: skip


def split(text: str) -> tuple[str, str]:
    """Split ``host:path`` or ``path`` as scp does; the host is empty for this machine."""
    found = re.fullmatch(r"((?:[^@/\s:]+@)?(?:\[[^\]]+\]|[^/:\s]+)):(.*)", text, re.DOTALL)
    return (found[1], found[2] or ".") if found else ("", text)


def copy(sources: list[str], destination: str, login: Login, progress: Progress) -> dict[str, Any]:
    """Copy files; return how many were copied or identical, bytes sent, and why others failed.

    Raises:
        Refused: a source does not exist, or several sources go to something that is not a folder.
        Error: copying failed; a later call resumes it.
    """
    with contextlib.ExitStack() as stack:
        known: dict[str, FileSystem] = {"": LocalFileSystem()}

        def file_system(host: str) -> FileSystem:
            if host not in known:
                known[host] = RemoteFileSystem(stack.enter_context(SshHost(host, login)))
            return known[host]

        done = Copied()

        def copy_one(source: str) -> None:
            (from_host, from_path), (to_host, to_path) = split(source), split(destination)
            pair = file_system(from_host), file_system(to_host)
            _Copying(*pair, progress, done).copy(from_path, to_path, len(sources) > 1, source)

        for source in sources:
            retry(functools.partial(copy_one, source), progress)
        return done.as_dict()


@dataclass
class _Copying:
    """Copies one source from one file system to another."""

    origin: FileSystem
    target: FileSystem
    progress: Progress
    done: Copied

    def copy(self, path: str, to: str, several: bool, source: str) -> None:
        path, to = self.origin.absolute(path), self.target.absolute(to)
        kind = self.origin.kind(path)
        if kind == NOTHING:
            hint = " (patterns are not expanded on hosts)" if re.search(r"[*?\[]", source) else ""
            raise Refused(f"{printable(source)} does not exist{hint}")
        if kind not in (FILE, FOLDER):
            raise Refused(f"{printable(source)} is {kind}: only files and folders are copied")
        root = self._root(path, kind, to, several)
        listing = self.origin.listing(path)
        for text in listing.left_out:
            self.done.left_out[text] = text
        folders = {_join(root, e.path): e.mode for e in listing.entries if e.folder}
        self.done.new |= set(self.target.make_folders(list(folders) or [posixpath.dirname(root)]))
        files = [entry for entry in listing.entries if not entry.folder]
        for entry in files:
            self.progress.start(self._name(entry, path), entry.size)
        for entry in files:
            where = _join(root, entry.path)
            try:
                self._file(_join(path, entry.path), where, entry, self._name(entry, path))
            except (LinkLost, FileSystemFull):
                raise
            except Error as error:
                self.done.left_out[where] = str(error)
        # Last, because a folder's mode may deny writing even to its owner.
        self.target.set_modes({f: folders[f] for f in reversed(folders) if f in self.done.new})

    def _root(self, path: str, kind: str, to: str, several: bool) -> str:
        """Return the path the file or folder gets at its destination."""
        existing = self.target.kind(to)
        if existing not in (FILE, FOLDER, NOTHING):
            raise Refused(f"{printable(to)} is {existing}: only files and folders are written")
        if several and existing != FOLDER:
            raise Refused(f"{printable(to)} is not a folder, and several sources need one")
        if existing == FILE and (kind == FOLDER or to.endswith("/")):
            raise Refused(f"{printable(to)} is a file, and a folder is needed there")
        name = posixpath.basename(path.rstrip("/"))
        if existing == FOLDER or (kind == FILE and to.endswith("/")):
            return to if name in ("", ".", "..") else _join(to, name)
        return to.rstrip("/") or "/"

    def _name(self, entry: Entry, path: str) -> str:
        return printable(entry.path or posixpath.basename(path.rstrip("/")))

    def _file(self, path: str, where: str, entry: Entry, name: str) -> None:
        wanted = self.origin.sha256(path)
        to = self.target.real(where)  # as scp: a link stays, its target is written
        existing = self.target.kind(to)
        if existing not in (FILE, NOTHING):
            what = "a folder" if existing == FOLDER else existing
            raise Error(f"{printable(to)} is {what}, and a file cannot replace it")
        if existing == FILE and self._same(to, wanted):
            self.done.done(where, "same")
            self.progress.start(name, entry.size, entry.size)
            return
        # The name holds the content's hash, so another version's partial copy is never resumed.
        short = os.fsencode(posixpath.basename(to))[:_NAME_BYTES].decode(errors="ignore")
        part = _join(posixpath.dirname(to), f".{short}.{wanted[:12]}.part")
        for fresh in (False, True):
            offset = 0 if fresh else min(self.target.size(part), entry.size)
            self.progress.start(name, entry.size, offset)
            self.target.write(self._counted(path, offset, name), part, offset)
            if self.target.sha256(part) == wanted:
                self.target.finish(part, to, entry.mode)
                self.done.done(where, "copied")
                return
        self.target.forget(part)
        raise Error(f"{printable(to)}: the data arrived altered twice; the file was not changed")

    def _same(self, path: str, wanted: str) -> bool:
        try:
            return self.target.sha256(path) == wanted
        except LinkLost:
            raise
        except Error:
            return False  # a file that cannot be read can still be replaced

    def _counted(self, path: str, start: int, name: str) -> Iterator[bytes]:
        for block in self.origin.read(path, start):
            yield block
            self.done.sent += len(block)
            self.progress.add(name, len(block))


def _join(folder: str, name: str) -> str:
    return posixpath.join(folder, name) if name else folder
