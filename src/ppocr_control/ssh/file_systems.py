"""File systems to copy from and to: this machine's, or a host's over SSH.

Every question is answered or raises: something unreadable never counts as empty or missing.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import shlex
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..errors import Error, Refused
from ..files import file_sha256, read_blocks
from .host import SshHost
from .transport import printable

FILE, FOLDER, NOTHING = "file", "folder", "nothing"
#: Other kinds, by find's letters.
_OTHERS = {
    "l": "a link to nothing", "p": "a FIFO", "s": "a socket", "b": "a device", "c": "a device",
}  # fmt: skip
_OTHER = "neither a file nor a folder"


@dataclass(frozen=True)
class Entry:
    """A file or folder: path below the source (empty for the source itself), bytes, permissions."""

    path: str
    size: int
    mode: int
    folder: bool = False


@dataclass
class Listing:
    """The contents of a path, links followed; and a sentence for each that cannot be copied."""

    entries: list[Entry] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class FileSystemFull(Error):
    """A file system is full or read-only; all further writes would fail too."""


class FileSystem(Protocol):
    """Files of one machine. Methods raise Error with the reason if they fail."""

    def absolute(self, path: str) -> str:
        """Return a path as a shell would read it: ``~`` expanded, a leading dash not an option."""

    def kind(self, path: str) -> str:
        """Return file, folder, nothing or another kind; links are followed."""

    def listing(self, path: str) -> Listing:
        """Return a file, or the contents of a folder with each folder before its contents."""

    def real(self, path: str) -> str:
        """Return the path with links resolved."""

    def sha256(self, path: str) -> str:
        """Return the sha256 of a file."""

    def size(self, path: str) -> int:
        """Return the size of a file in bytes; 0 if it does not exist."""

    def read(self, path: str, offset: int) -> Iterator[bytes]: ...

    def write(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        """Write a file, readable only by its owner, from ``offset`` on."""

    def finish(self, part: str, path: str, mode: int) -> None:
        """Give a complete file its final name and permissions."""

    def make_folders(self, paths: Sequence[str]) -> list[str]:
        """Create missing folders; return the new ones."""

    def set_modes(self, modes: dict[str, int]) -> None:
        """Set the permissions of folders."""

    def forget(self, path: str) -> None: ...


class LocalFileSystem:
    """The file system of this machine."""

    def absolute(self, path: str) -> str:
        full = posixpath.expanduser(path)
        if full.startswith("~"):
            raise Refused(f"{path}: this machine has no user {path[1:].partition('/')[0]}")
        return full if full.startswith("/") else f"./{full}"

    def kind(self, path: str) -> str:
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116 - a slash at the end matters
        except (FileNotFoundError, NotADirectoryError):
            return NOTHING
        except OSError as error:
            raise Refused(_reason(path, error)) from error
        return FOLDER if stat.S_ISDIR(mode) else FILE if stat.S_ISREG(mode) else _other_kind(mode)

    def listing(self, path: str) -> Listing:
        found = Listing()
        self._list(Path(path), Path(path), (), found)
        return found

    def _list(
        self, root: Path, path: Path, above: tuple[tuple[int, int], ...], found: Listing
    ) -> None:
        name = "" if path == root else str(path.relative_to(root))
        try:
            info = path.stat()
            inside = sorted(path.iterdir()) if stat.S_ISDIR(info.st_mode) else []
        except OSError as error:
            broken = path.is_symlink() and isinstance(error, FileNotFoundError)
            reason = f"{path}: {_OTHERS['l']}" if broken else _reason(str(path), error)
            found.left_out.append(reason)
            return
        identity, mode = (info.st_dev, info.st_ino), stat.S_IMODE(info.st_mode) & 0o777
        if identity in above:
            found.left_out.append(f"{path}: links back to a folder that contains it")
        elif stat.S_ISDIR(info.st_mode):
            found.entries.append(Entry(name, 0, mode, folder=True))
            for each in inside:
                self._list(root, each, (*above, identity), found)
        elif stat.S_ISREG(info.st_mode):
            found.entries.append(Entry(name, info.st_size, mode))
        else:
            found.left_out.append(f"{path}: {_other_kind(info.st_mode)}")

    def real(self, path: str) -> str:
        return os.path.realpath(path)

    def sha256(self, path: str) -> str:
        with _os_errors(path):
            return file_sha256(Path(path))

    def size(self, path: str) -> int:
        with _os_errors(path):
            return Path(path).stat().st_size if Path(path).is_file() else 0

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        with _os_errors(path), Path(path).open("rb") as file:
            file.seek(offset)
            yield from read_blocks(file)

    def write(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        with _os_errors(path):  # the source raises Error by itself
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with os.fdopen(number, "wb") as file:
                file.seek(offset)
                for block in blocks:
                    file.write(block)
                file.truncate()

    def finish(self, part: str, path: str, mode: int) -> None:
        with _os_errors(path):
            Path(part).chmod(mode)
            Path(part).rename(path)

    def make_folders(self, paths: Sequence[str]) -> list[str]:
        new = [path for path in paths if not Path(path).is_dir()]
        for path in new:
            with _os_errors(path):
                Path(path).mkdir(parents=True, exist_ok=True)
        return new

    def set_modes(self, modes: dict[str, int]) -> None:
        for path, mode in modes.items():
            with _os_errors(path):
                Path(path).chmod(mode)

    def forget(self, path: str) -> None:
        with _os_errors(path):
            Path(path).unlink(missing_ok=True)


class RemoteFileSystem:
    """The file system of a host over SSH."""

    def __init__(self, host: SshHost) -> None:
        self.host = host

    def _run(self, script: str) -> str:
        answer = self.host.run(script)
        return self._checked(answer.status, answer.out, answer.err)

    def _checked(self, status: int, out: str, err: str) -> str:
        if status:
            reason = re.sub(r"(?m)^sh: (?:line )?\d+: (?:eval: )?", "", printable(err))
            reason = " ".join(reason.split())[-500:] or f"exit status {status}"
            if re.search(r"(\w+): (?:command )?not found", reason):
                reason += ". Install it on the host (Debian: coreutils, findutils)"
            raise (FileSystemFull if _is_full(reason) else Error)(f"{self.host.name}: {reason}")
        return out

    def absolute(self, path: str) -> str:
        tilde = re.match(r"~([A-Za-z_][\w.-]*)?(?=/|$)", path)
        if not tilde:
            return path if path.startswith("/") else f"./{path}"
        if not tilde[1] and self.host.home:
            return self.host.home + path[1:]
        home = self._run(f"echo {tilde[0]}").rstrip("\n")
        if home == tilde[0]:
            raise Refused(f"{self.host.name}: {path}: the host has no user {tilde[1]}")
        return home + path[tilde.end() :]

    def kind(self, path: str) -> str:
        # In a folder that may not be entered, test -e is false, as for a missing file.
        name = shlex.quote(path)
        kind = self._run(
            f"if [ -d {name} ]; then echo {FOLDER}; elif [ -f {name} ]; then echo {FILE}\n"
            f'elif other=$(find -H {name} -prune -printf %Y 2>&1); then echo "other $other"\n'
            f"else case $other in *'No such file'* | *'Not a directory'*) echo {NOTHING} ;;\n"
            '*) echo "$other" >&2; exit 1 ;; esac; fi'
        ).strip()
        if kind == "other N":
            return NOTHING  # a broken link: writing creates its target
        return _OTHERS.get(kind.removeprefix("other "), _OTHER) if kind[:6] == "other " else kind

    def listing(self, path: str) -> Listing:
        answer = self.host.run(f"find -L {shlex.quote(path)} -printf '%y %s %m %P\\0'")
        found = Listing()
        prefix = f"{self.host.name}: "
        for row in filter(None, answer.out.split("\0")):
            letter, size, mode, name = row.split(" ", 3)
            if letter in "fd":
                folder = letter == "d"
                size = "0" if folder else size
                found.entries.append(Entry(name, int(size), int(mode, 8) & 0o777, folder))
            else:
                what = _OTHERS.get(letter, _OTHER)
                found.left_out.append(printable(f"{prefix}{posixpath.join(path, name)}: {what}"))
        errors = [line.removeprefix("find: ") for line in answer.err.splitlines() if line.strip()]
        if answer.status and not (errors and found.entries):
            self._checked(answer.status, "", answer.err)
        found.left_out += [prefix + printable(line) for line in errors if answer.status]
        # An unreadable folder is listed itself; folders come before their contents.
        found.entries.sort(key=lambda entry: entry.path)
        return found

    def real(self, path: str) -> str:
        return self._run(f"readlink -m -- {shlex.quote(path)}").removesuffix("\n")

    def sha256(self, path: str) -> str:
        digest = self._run(f"sha256sum <{shlex.quote(path)}")[:64]
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise Error(f"{self.host.name}: sha256sum printed no digest of {printable(path)}")
        return digest

    def size(self, path: str) -> int:
        name = shlex.quote(path)
        return int(self._run(f"if [ -f {name} ]; then stat -c %s -- {name}; else echo 0; fi"))

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        return self.host.read(path, offset)

    def write(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        name = shlex.quote(path)
        # Late data of a connection that died overwrites itself with the same bytes.
        answer = self.host.feed(
            f"set -e; umask 077; [ -e {name} ] || : >{name}; truncate -s {offset} -- {name}\n"
            f"dd of={name} seek={offset} bs=1M iflag=fullblock oflag=seek_bytes conv=notrunc "
            "status=none",
            blocks,
        )
        self._checked(answer.status, answer.out, answer.err)

    def finish(self, part: str, path: str, mode: int) -> None:
        old, new = shlex.quote(part), shlex.quote(path)
        self._run(f"chmod {mode:o} -- {old} && mv -f -T -- {old} {new}")

    def make_folders(self, paths: Sequence[str]) -> list[str]:
        names = " ".join(map(shlex.quote, paths))
        made = self._run(
            f'for folder in {names}; do [ -d "$folder" ] || {{\n'
            'mkdir -p -- "$folder" && printf \'%s\\0\' "$folder" || exit 1; }; done'
        )
        return list(filter(None, made.split("\0")))

    def set_modes(self, modes: dict[str, int]) -> None:
        if modes:
            lines = (f"chmod {mode:o} -- {shlex.quote(path)}" for path, mode in modes.items())
            self._run(" &&\n".join(lines))

    def forget(self, path: str) -> None:
        self._run(f"rm -f -- {shlex.quote(path)}")


def _other_kind(mode: int) -> str:
    return _OTHERS.get(stat.filemode(mode)[0], _OTHER)


def _reason(path: str, error: OSError) -> str:
    return printable(f"{path}: {error.strerror or error}")


def _is_full(reason: str) -> bool:
    return any(
        text in reason for text in ("No space left", "quota exceeded", "Read-only file system")
    )


@contextlib.contextmanager
def _os_errors(path: str) -> Iterator[None]:
    """Turn OSError into Error with the path."""
    try:
        yield
    except OSError as error:
        reason = _reason(error.filename if isinstance(error.filename, str) else path, error)
        raise (FileSystemFull if _is_full(reason) else Error)(reason) from error
