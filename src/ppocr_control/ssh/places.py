"""Where files are copied from and to: this machine, or a host over SSH.

What a place is asked it answers or says why not: nothing unreadable counts as empty or missing.
"""

from __future__ import annotations

import contextlib
import hashlib
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
from .host import SshHost
from .transport import CHUNK, shown

FILE, FOLDER, NOTHING = "file", "folder", "nothing"
#: What else there is, by find's letters.
_OTHERS = {
    "l": "a link to nothing", "p": "a FIFO", "s": "a socket", "b": "a device", "c": "a device",
}  # fmt: skip
_OTHER = "neither a file nor a folder"


@dataclass(frozen=True)
class Entry:
    """A file or folder: path below what was named (empty for that itself), bytes, permissions."""

    path: str
    size: int
    mode: int
    folder: bool = False


@dataclass
class Listing:
    """What is below a path, links followed, and a sentence for each thing that cannot be copied."""

    entries: list[Entry] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Full(Error):
    """A file system takes no more; what follows would fail as well."""


class Place(Protocol):
    """Where files are. Methods raise Error with the reason where they cannot do their work."""

    def absolute(self, path: str) -> str:
        """A path as the shell there would read it: ``~`` is a home folder, a dash no option."""

    def kind(self, path: str) -> str:
        """file, folder, nothing, or what else it is; links are followed."""

    def listing(self, path: str) -> Listing:
        """The files and folders below a folder, each folder before what is in it; or a file."""

    def real(self, path: str) -> str:
        """The file that a path leads to."""

    def sha256(self, path: str) -> str:
        """Of a file."""

    def size(self, path: str) -> int:
        """Of a file in bytes; 0 where there is none."""

    def read(self, path: str, offset: int) -> Iterator[bytes]: ...

    def write(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        """Write a file, which nobody else may read yet, from ``offset`` on."""

    def finish(self, part: str, path: str, mode: int) -> None:
        """Give a whole file its name and permissions."""

    def make_folders(self, paths: Sequence[str]) -> list[str]:
        """Make folders where they are missing; returns the new ones."""

    def set_modes(self, modes: dict[str, int]) -> None:
        """Give folders their permissions."""

    def forget(self, path: str) -> None: ...


class Here:
    """This machine."""

    def absolute(self, path: str) -> str:
        full = posixpath.expanduser(path)
        if full.startswith("~"):
            raise Refused(f"{path}: there is no user {path[1:].partition('/')[0]} here")
        return full if full.startswith("/") else f"./{full}"

    def kind(self, path: str) -> str:
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116 - a slash at the end matters
        except (FileNotFoundError, NotADirectoryError):
            return NOTHING
        except OSError as error:
            raise Refused(_words(path, error)) from error
        return FOLDER if stat.S_ISDIR(mode) else FILE if stat.S_ISREG(mode) else _named(mode)

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
            found.left_out.append(f"{path}: {_OTHERS['l']}" if broken else _words(str(path), error))
            return
        here, mode = (info.st_dev, info.st_ino), stat.S_IMODE(info.st_mode) & 0o777
        if here in above:
            found.left_out.append(f"{path}: leads back to a folder that it lies in")
        elif stat.S_ISDIR(info.st_mode):
            found.entries.append(Entry(name, 0, mode, folder=True))
            for each in inside:
                self._list(root, each, (*above, here), found)
        elif stat.S_ISREG(info.st_mode):
            found.entries.append(Entry(name, info.st_size, mode))
        else:
            found.left_out.append(f"{path}: {_named(info.st_mode)}")

    def real(self, path: str) -> str:
        return os.path.realpath(path)

    def sha256(self, path: str) -> str:
        with _telling(path), Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def size(self, path: str) -> int:
        with _telling(path):
            return Path(path).stat().st_size if Path(path).is_file() else 0

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        with _telling(path), Path(path).open("rb") as file:
            file.seek(offset)
            while block := file.read(CHUNK):
                yield block

    def write(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        with _telling(path):  # what the origin cannot read is Error already
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with os.fdopen(number, "wb") as file:
                file.seek(offset)
                for block in blocks:
                    file.write(block)
                file.truncate()

    def finish(self, part: str, path: str, mode: int) -> None:
        with _telling(path):
            Path(part).chmod(mode)
            Path(part).rename(path)

    def make_folders(self, paths: Sequence[str]) -> list[str]:
        new = [path for path in paths if not Path(path).is_dir()]
        for path in new:
            with _telling(path):
                Path(path).mkdir(parents=True, exist_ok=True)
        return new

    def set_modes(self, modes: dict[str, int]) -> None:
        for path, mode in modes.items():
            with _telling(path):
                Path(path).chmod(mode)

    def forget(self, path: str) -> None:
        with _telling(path):
            Path(path).unlink(missing_ok=True)


class There:
    """A host over SSH."""

    def __init__(self, host: SshHost) -> None:
        self.host = host

    def _run(self, script: str) -> str:
        answer = self.host.run(script)
        return self._checked(answer.status, answer.out, answer.err)

    def _checked(self, status: int, out: str, err: str) -> str:
        if status:
            said = re.sub(r"(?m)^sh: (?:line )?\d+: (?:eval: )?", "", shown(err))
            said = " ".join(said.split())[-500:] or f"exit status {status}"
            lacking = re.search(r"(\w+): (?:command )?not found", said)
            if lacking:
                said += ". Install it there (Debian: coreutils, findutils)"
            raise (Full if _is_full(said) else Error)(f"{self.host.name}: {said}")
        return out

    def absolute(self, path: str) -> str:
        tilde = re.match(r"~([A-Za-z_][\w.-]*)?(?=/|$)", path)
        if not tilde:
            return path if path.startswith("/") else f"./{path}"
        if not tilde[1] and self.host.home:
            return self.host.home + path[1:]
        home = self._run(f"echo {tilde[0]}").rstrip("\n")
        if home == tilde[0]:
            raise Refused(f"{self.host.name}: {path}: there is no user {tilde[1]}")
        return home + path[tilde.end() :]

    def kind(self, path: str) -> str:
        # A folder above that may not be entered makes test -e say no, as if nothing were there.
        name = shlex.quote(path)
        said = self._run(
            f"if [ -d {name} ]; then echo {FOLDER}; elif [ -f {name} ]; then echo {FILE}\n"
            f'elif said=$(find -H {name} -prune -printf %Y 2>&1); then echo "other $said"\n'
            f"else case $said in *'No such file'* | *'Not a directory'*) echo {NOTHING} ;;\n"
            '*) echo "$said" >&2; exit 1 ;; esac; fi'
        ).strip()
        if said == "other N":
            return NOTHING  # a link to nothing is written through
        return _OTHERS.get(said.removeprefix("other "), _OTHER) if said[:6] == "other " else said

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
                found.left_out.append(shown(f"{prefix}{posixpath.join(path, name)}: {what}"))
        said = [line.removeprefix("find: ") for line in answer.err.splitlines() if line.strip()]
        if answer.status and not (said and found.entries):
            self._checked(answer.status, "", answer.err)
        found.left_out += [prefix + shown(line) for line in said if answer.status]
        # A folder that cannot be read is listed itself, and comes before what is in it.
        found.entries.sort(key=lambda entry: entry.path)
        return found

    def real(self, path: str) -> str:
        return self._run(f"readlink -m -- {shlex.quote(path)}").removesuffix("\n")

    def sha256(self, path: str) -> str:
        said = self._run(f"sha256sum <{shlex.quote(path)}")[:64]
        if not re.fullmatch(r"[0-9a-f]{64}", said):
            raise Error(f"{self.host.name}: sha256sum gives no sum of {shown(path)}")
        return said

    def size(self, path: str) -> int:
        name = shlex.quote(path)
        return int(self._run(f"if [ -f {name} ]; then stat -c %s -- {name}; else echo 0; fi"))

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        return self.host.read(path, offset)

    def write(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        name = shlex.quote(path)
        # Late bytes of a connection that died land where the same bytes belong.
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


def _named(mode: int) -> str:
    return _OTHERS.get(stat.filemode(mode)[0], _OTHER)


def _words(path: str, error: OSError) -> str:
    return shown(f"{path}: {error.strerror or error}")


def _is_full(said: str) -> bool:
    return any(
        words in said for words in ("No space left", "quota exceeded", "Read-only file system")
    )


@contextlib.contextmanager
def _telling(path: str) -> Iterator[None]:
    """Raises Error with the path for what the system refuses."""
    try:
        yield
    except OSError as error:
        said = _words(error.filename if isinstance(error.filename, str) else path, error)
        raise (Full if _is_full(said) else Error)(said) from error
