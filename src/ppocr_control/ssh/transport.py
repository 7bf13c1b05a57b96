"""A way to a host: run a script there, and write bytes at a place in a file there.

The shipping functions know no more of a host than this, so the roles bring Ansible's connection and
the commands bring OpenSSH's.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import Error

CHUNK = 1 << 20


def shown(text: str) -> str:
    """A text with the bytes of file names in it, as it can be printed."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


@dataclass(frozen=True)
class Answer:
    """What a script on a host said."""

    status: int
    out: str
    err: str

    def checked(self, what: str) -> str:
        """The output.

        Raises:
            Error: the script failed; the message has its last words.
        """
        if self.status:
            said = (self.err.strip() or self.out.strip() or f"exit status {self.status}")[-1500:]
            raise Error(f"{what}: {shown(said)}")
        return self.out


class Transport(Protocol):
    """One host. Methods raise LinkLost when the connection breaks."""

    name: str

    def run(self, script: str) -> Answer:
        """Run a POSIX shell script with the rights the task needs."""

    def put(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        """Write blocks to a file from ``offset`` on; the file is made where it is missing."""


def write_at(path: str, offset: int) -> str:
    """The command that puts its standard input at a place in a file.

    Late bytes of a connection that died land where the same bytes belong.
    """
    return (
        f"dd of={shlex.quote(path)} seek={offset} bs=1M iflag=fullblock oflag=seek_bytes "
        "conv=notrunc status=none"
    )


def blocks_from(path: Path, offset: int, count: Callable[[int], None]) -> Iterator[bytes]:
    """A local file from ``offset`` on; ``count`` is told of each block once it is taken."""
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(CHUNK):
            yield block
            count(len(block))
