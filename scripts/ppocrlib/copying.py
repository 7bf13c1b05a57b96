"""Files from one place to another, a place being this machine or a host over SSH."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from .outcome import LinkLost, Refused, Trouble
from .progress import Progress
from .sshhost import Login, SshHost
from .transport import CHUNK

_RETRIES, _PAUSE = 4, 3.0


@dataclass(frozen=True)
class Entry:
    """A file: path below what was named (empty for a file itself), bytes, permissions."""

    path: str
    size: int
    mode: int


class Place(Protocol):
    """Where files are. Paths are absolute or relative to the login's folder."""

    def kind(self, path: str) -> str:
        """file, folder, or nothing."""

    def entries(self, path: str) -> list[Entry]:
        """The regular files of a folder, or the file itself."""

    def sha256(self, path: str) -> str:
        """Of a file; empty where there is none."""

    def size(self, path: str) -> int:
        """Of a file in bytes; 0 where there is none."""

    def read(self, path: str, offset: int) -> Iterator[bytes]: ...

    def write(self, blocks: Iterator[bytes], path: str, offset: int) -> None: ...

    def finish(self, part: str, path: str, mode: int) -> None:
        """Give a whole file its name and permissions."""

    def forget(self, path: str) -> None: ...


class Here:
    """This machine."""

    def kind(self, path: str) -> str:
        found = Path(path)
        return "folder" if found.is_dir() else "file" if found.is_file() else "nothing"

    def entries(self, path: str) -> list[Entry]:
        root = Path(path)
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
        return [
            Entry(
                "" if f == root else f.relative_to(root).as_posix(),
                f.stat().st_size,
                f.stat().st_mode & 0o777,
            )
            for f in files
        ]

    def sha256(self, path: str) -> str:
        if not Path(path).is_file():
            return ""
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def size(self, path: str) -> int:
        return Path(path).stat().st_size if Path(path).is_file() else 0

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        with Path(path).open("rb") as file:
            file.seek(offset)
            while block := file.read(CHUNK):
                yield block

    def write(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(path).open("r+b" if Path(path).exists() else "wb") as file:
            file.seek(offset)
            for block in blocks:
                file.write(block)
            file.truncate()

    def finish(self, part: str, path: str, mode: int) -> None:
        Path(part).chmod(mode)
        Path(part).rename(path)

    def forget(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)


class There:
    """A host over SSH."""

    def __init__(self, host: SshHost) -> None:
        self.host = host

    def _run(self, script: str) -> str:
        return self.host.run(script).checked(self.host.name)

    def kind(self, path: str) -> str:
        name = shlex.quote(path)
        script = (
            f"if [ -d {name} ]; then echo folder; elif [ -f {name} ]; then echo file; "
            "else echo nothing; fi"
        )
        return self._run(script).strip()

    def entries(self, path: str) -> list[Entry]:
        said = self._run(f"find -H {shlex.quote(path)} -type f -printf '%s %m %P\\0'")
        rows = (row.split(" ", 2) for row in said.split("\0") if row)
        return sorted(
            (Entry(row[2], int(row[0]), int(row[1], 8)) for row in rows), key=lambda e: e.path
        )

    def sha256(self, path: str) -> str:
        name = shlex.quote(path)
        return self._run(f"[ ! -f {name} ] || sha256sum < {name} | cut -c1-64").strip()

    def size(self, path: str) -> int:
        name = shlex.quote(path)
        return int(self._run(f"if [ -f {name} ]; then stat -c %s {name}; else echo 0; fi"))

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        return self.host.read(path, offset)

    def write(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        name = shlex.quote(path)
        self._run(
            f'mkdir -p "$(dirname {name})"; [ -e {name} ] || : >{name}; truncate -s {offset} {name}'
        )
        self.host.put(blocks, path, offset)

    def finish(self, part: str, path: str, mode: int) -> None:
        self._run(
            f"chmod {mode:o} {shlex.quote(part)} && mv -f {shlex.quote(part)} {shlex.quote(path)}"
        )

    def forget(self, path: str) -> None:
        self._run(f"rm -f {shlex.quote(path)}")


def split(text: str) -> tuple[str, str]:
    """``host:path`` or ``path`` as scp reads them; the host is empty for this machine."""
    found = re.fullmatch(r"((?:[^@/\s:]+@)?(?:\[[^\]]+\]|[^/:\s]+)):(.*)", text)
    return (found[1], found[2] or ".") if found else ("", text)


def copy(sources: list[str], destination: str, login: Login, progress: Progress) -> dict[str, Any]:
    """Copy; returns the number of files copied and same, and bytes sent.

    Raises:
        Refused: a source is not there, or several sources go to something that is no folder.
        Trouble: it failed on the way; a later call goes on from there.
    """
    with contextlib.ExitStack() as stack:
        places: dict[str, Place] = {"": Here()}

        def place(host: str) -> Place:
            if host not in places:
                places[host] = There(stack.enter_context(SshHost(host, login)))
            return places[host]

        done = {"copied": 0, "same": 0, "sent": 0}
        to_host, to_path = split(destination)
        for source in sources:
            from_host, from_path = split(source)
            tries = 0
            while True:
                try:
                    pair = place(from_host), place(to_host)
                    _copy_one(
                        pair[0], from_path, pair[1], to_path, len(sources) > 1, progress, done
                    )
                    break
                except LinkLost as error:
                    tries += 1
                    if tries > _RETRIES:
                        raise
                    progress.say(f"{error}; trying again")
                    time.sleep(_PAUSE * tries)
        return done


def _copy_one(
    origin: Place,
    path: str,
    target: Place,
    to: str,
    several: bool,
    progress: Progress,
    done: dict[str, int],
) -> None:
    kind, there = origin.kind(path), target.kind(to)
    if kind == "nothing":
        raise Refused(f"there is no {path}")
    if several and there != "folder":
        raise Refused(f"{to} is not a folder, and several things are to be copied there")
    inside = there == "folder" or (kind == "file" and to.endswith("/"))
    root = str(PurePosixPath(to) / PurePosixPath(path.rstrip("/")).name) if inside else to
    entries = origin.entries(path)
    for entry in entries:
        progress.start(entry.path or PurePosixPath(path).name, entry.size)
    for entry in entries:
        _copy_file(
            origin, str(PurePosixPath(path) / entry.path),
            target, str(PurePosixPath(root) / entry.path), entry, progress, done,
        )  # fmt: skip


def _copy_file(
    origin: Place,
    path: str,
    target: Place,
    to: str,
    entry: Entry,
    progress: Progress,
    done: dict[str, int],
) -> None:
    wanted = origin.sha256(path)
    name = entry.path or PurePosixPath(path).name
    if target.sha256(to) == wanted:
        done["same"] += 1
        progress.start(name, entry.size, entry.size)
        return
    # The name holds the content's hash: a part of another version is never continued.
    part = str(PurePosixPath(to).with_name(f".{PurePosixPath(to).name}.{wanted[:12]}.part"))
    for fresh in (False, True):
        offset = 0 if fresh else min(target.size(part), entry.size)
        progress.start(name, entry.size, offset)

        def counted(start: int = offset) -> Iterator[bytes]:
            for block in origin.read(path, start):
                yield block
                done["sent"] += len(block)
                progress.add(name, len(block))

        target.write(counted(), part, offset)
        if target.sha256(part) == wanted:
            target.finish(part, to, entry.mode)
            done["copied"] += 1
            return
    target.forget(part)
    raise Trouble(f"{to}: what arrives is not what was sent, twice; nothing was changed there")
