"""Marks around the output of a remote script, which separate it from everything else printed.

Start-up files of a login shell, sudo's lecture and banners print before and after it. The script
also reports its own exit status, because others are ambiguous: ssh exits with 255 for a broken
connection and for a command that ended with 255, sudo with 1 for a wrong password and for a failed
command.
"""

from __future__ import annotations

import re
import secrets

from .transport import Answer


class Frame:
    """The marks of one call, and the standard output between them."""

    def __init__(self) -> None:
        mark = f"ppocr-{secrets.token_hex(8)}"
        self._begin, self._end = f"{mark} begins", f"{mark} ends"
        self._buffer = b""
        self.begun = False
        #: Output before the script began, or instead of it.
        self.noise = b""
        #: Exit status of the script; None until it has ended.
        self.status: int | None = None

    def script(self, body: str) -> str:
        """Wrap a POSIX shell script in the marks; its programs print plain English."""
        return (
            "LC_ALL=C LANGUAGE=; export LC_ALL LANGUAGE\n"
            f"echo; echo {self._begin}; echo {self._begin} >&2\n"
            f"(\n{body}\n)\nset -- $?\necho; echo {self._end} $1\n"
        )

    def feed(self, data: bytes) -> bytes:
        """Return the script's part of these bytes of standard output; some may follow later."""
        self._buffer += data
        if not self.begun:
            begin = f"\n{self._begin}\n".encode()
            at = self._buffer.find(begin)
            self.noise = self._buffer[:at] if at >= 0 else self._buffer
            if at < 0:
                return b""
            self.begun, self._buffer = True, self._buffer[at + len(begin) :]
        end = f"\n{self._end} ".encode()
        at = self._buffer.find(end)
        if at < 0:  # the mark may be incomplete
            at = max(len(self._buffer) - len(end), 0)
        elif found := re.match(rb"(\d+)\r?\n", self._buffer[at + len(end) :]):
            self.status = int(found[1])
        body, self._buffer = self._buffer[:at], self._buffer[at:]
        return body

    def errors(self, data: bytes) -> str:
        """Return what the script wrote to standard error; everything if it never began."""
        return data.rpartition(f"{self._begin}\n".encode())[2].decode(errors="replace")

    def answer(self, out: str, err: str) -> Answer | None:
        """Return the result of a whole call; None if the script did not finish."""
        body = self.feed(out.encode(errors="surrogateescape"))
        if self.status is None:
            return None
        return Answer(self.status, body.decode(errors="surrogateescape"), self.errors(err.encode()))
