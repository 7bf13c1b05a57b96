"""Files from one place to another, a place being this machine or a host over SSH."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import Error, LinkLost, Refused
from ..progress import Progress
from .host import SshHost
from .openssh import Login
from .places import FILE, FOLDER, NOTHING, Entry, Full, Here, Place, There
from .transport import shown

_RETRIES, _PAUSE = 4, 3.0
#: Bytes of a file's name in that of its part: a name has 255 at most.
_NAME = 200


@dataclass
class Copied:
    """What became of files, by where they go; and of what is not there, a sentence each."""

    files: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    #: Folders that were made.
    new: set[str] = field(default_factory=set)
    sent: int = 0

    def done(self, path: str, what: str) -> None:
        """Note a file that is there, once: after a broken link it is looked at again."""
        self.files.setdefault(path, what)
        self.left_out.pop(path, None)

    def as_dict(self) -> dict[str, Any]:
        kinds = list(self.files.values())
        return {
            "copied": kinds.count("copied"), "same": kinds.count("same"), "sent": self.sent,
            "failed": list(self.left_out.values()),
        }  # fmt: skip


def split(text: str) -> tuple[str, str]:
    """``host:path`` or ``path`` as scp reads them; the host is empty for this machine."""
    found = re.fullmatch(r"((?:[^@/\s:]+@)?(?:\[[^\]]+\]|[^/:\s]+)):(.*)", text, re.DOTALL)
    return (found[1], found[2] or ".") if found else ("", text)


def copy(sources: list[str], destination: str, login: Login, progress: Progress) -> dict[str, Any]:
    """Copy; returns the number of files copied and same, bytes sent, and why others failed.

    Raises:
        Refused: a source is not there, or several sources go to something that is no folder.
        Error: it failed on the way; a later call goes on from there.
    """
    with contextlib.ExitStack() as stack:
        places: dict[str, Place] = {"": Here()}

        def place(host: str) -> Place:
            if host not in places:
                places[host] = There(stack.enter_context(SshHost(host, login)))
            return places[host]

        done = Copied()
        to_host, to_path = split(destination)
        for source in sources:
            from_host, from_path = split(source)
            tries = 0
            while True:
                try:
                    pair = place(from_host), place(to_host)
                    _Copying(*pair, progress, done).copy(
                        from_path, to_path, len(sources) > 1, source
                    )
                    break
                except LinkLost as error:
                    tries += 1
                    if tries > _RETRIES:
                        raise
                    progress.say(f"{error}; trying again")
                    time.sleep(_PAUSE * tries)
        return done.as_dict()


@dataclass
class _Copying:
    """One source on its way from place to place."""

    origin: Place
    target: Place
    progress: Progress
    done: Copied

    def copy(self, path: str, to: str, several: bool, source: str) -> None:
        path, to = self.origin.absolute(path), self.target.absolute(to)
        kind = self.origin.kind(path)
        if kind == NOTHING:
            hint = " (patterns are not expanded there)" if re.search(r"[*?\[]", source) else ""
            raise Refused(f"there is no {shown(source)}{hint}")
        if kind not in (FILE, FOLDER):
            raise Refused(f"{shown(source)} is {kind}: only files and folders are copied")
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
            except (LinkLost, Full):
                raise
            except Error as error:
                self.done.left_out[where] = str(error)
        # Last, since a folder may be one that its owner cannot write to.
        self.target.set_modes({f: folders[f] for f in reversed(folders) if f in self.done.new})

    def _root(self, path: str, kind: str, to: str, several: bool) -> str:
        """What the file or folder is to be called."""
        there = self.target.kind(to)
        if there not in (FILE, FOLDER, NOTHING):
            raise Refused(f"{shown(to)} is {there}: only files and folders are written")
        if several and there != FOLDER:
            raise Refused(f"{shown(to)} is not a folder, and several things are to be copied there")
        if there == FILE and (kind == FOLDER or to.endswith("/")):
            raise Refused(f"{shown(to)} is a file, and a folder is to be there")
        name = posixpath.basename(path.rstrip("/"))
        if there == FOLDER or (kind == FILE and to.endswith("/")):
            return to if name in ("", ".", "..") else _join(to, name)
        return to.rstrip("/") or "/"

    def _name(self, entry: Entry, path: str) -> str:
        return shown(entry.path or posixpath.basename(path.rstrip("/")))

    def _file(self, path: str, where: str, entry: Entry, name: str) -> None:
        wanted = self.origin.sha256(path)
        to = self.target.real(where)  # a link stays, and what it leads to is written, as scp does
        there = self.target.kind(to)
        if there not in (FILE, NOTHING):
            what = "a folder" if there == FOLDER else there
            raise Error(f"{shown(to)}: {what} is in the way of a file")
        if there == FILE and self._same(to, wanted):
            self.done.done(where, "same")
            self.progress.start(name, entry.size, entry.size)
            return
        # The name holds the content's hash: a part of another version is never continued.
        short = os.fsencode(posixpath.basename(to))[:_NAME].decode(errors="ignore")
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
        raise Error(
            f"{shown(to)}: what arrives is not what was sent, twice; nothing was changed there"
        )

    def _same(self, path: str, wanted: str) -> bool:
        try:
            return self.target.sha256(path) == wanted
        except LinkLost:
            raise
        except Error:
            return False  # what cannot be read may still be replaced

    def _counted(self, path: str, start: int, name: str) -> Iterator[bytes]:
        for block in self.origin.read(path, start):
            yield block
            self.done.sent += len(block)
            self.progress.add(name, len(block))


def _join(folder: str, name: str) -> str:
    return posixpath.join(folder, name) if name else folder
