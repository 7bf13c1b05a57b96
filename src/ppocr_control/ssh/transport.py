"""The interface to a host: run a script, and write data at an offset in a file.

The shipping functions use nothing else of a host, so they work over Ansible's connection (roles)
and over OpenSSH's (commands).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import Error
from ..files import read_blocks


def printable(text: str) -> str:
    """Return text that may contain raw bytes of file names in a form that can be printed."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


@dataclass(frozen=True)
class Answer:
    """The result of a script on a host."""

    status: int
    out: str
    err: str

    def checked(self, what: str) -> str:
        """Return the output.

        Raises:
            Error: the script failed; the message contains the end of its output.
        """
        if self.status:
            output = (self.err.strip() or self.out.strip() or f"exit status {self.status}")[-1500:]
            raise Error(f"{what}: {printable(output)}")
        return self.out


class Transport(Protocol):
    """One host. Methods raise LinkLost when the connection breaks."""

    name: str

    def run(self, script: str) -> Answer:
        """Run a POSIX shell script with the privileges the task needs."""

    def put(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        """Write blocks to a file from ``offset`` on; a missing file is created."""


def write_at(path: str, offset: int) -> str:
    """Return the command that writes its standard input at an offset in a file.

    Late data of a connection that died then overwrites itself with the same bytes.
    """
    return (
        f"dd of={shlex.quote(path)} seek={offset} bs=1M iflag=fullblock oflag=seek_bytes "
        "conv=notrunc status=none"
    )


def blocks_from(path: Path, offset: int, count: Callable[[int], None]) -> Iterator[bytes]:
    """Yield a local file from ``offset`` on; ``count`` gets each block's size once it is taken."""
    with path.open("rb") as file:
        file.seek(offset)
        for block in read_blocks(file):
            yield block
            count(len(block))
