"""Marks around what a script prints on a host, so that nothing else is taken for it.

Start-up files of a login shell, sudo's lecture, a banner or a farewell print where they like,
before and after. A script between marks also tells its exit status itself: ssh gives 255 for a
broken link as for a command that ended with 255, and sudo 1 for a wrong password as for a failure
of its command.
"""

from __future__ import annotations

import re
import secrets

from .transport import Answer


class Frame:
    """The marks of one call, and what came between them on its standard output."""

    def __init__(self) -> None:
        mark = f"ppocr-{secrets.token_hex(8)}"
        self._begin, self._end = f"{mark} begins", f"{mark} ends"
        self._held = b""
        self.begun = False
        #: What was printed before the script began, or instead of it.
        self.noise = b""
        #: Exit status of the script; None while it has not ended.
        self.status: int | None = None

    def script(self, body: str) -> str:
        """A POSIX shell script between marks, its programs speaking plain English."""
        return (
            "LC_ALL=C LANGUAGE=; export LC_ALL LANGUAGE\n"
            f"echo; echo {self._begin}; echo {self._begin} >&2\n"
            f"(\n{body}\n)\nset -- $?\necho; echo {self._end} $1\n"
        )

    def feed(self, data: bytes) -> bytes:
        """What of these bytes of standard output the script printed; some may come later."""
        self._held += data
        if not self.begun:
            begin = f"\n{self._begin}\n".encode()
            at = self._held.find(begin)
            self.noise = self._held[:at] if at >= 0 else self._held
            if at < 0:
                return b""
            self.begun, self._held = True, self._held[at + len(begin) :]
        end = f"\n{self._end} ".encode()
        at = self._held.find(end)
        if at < 0:  # it may have begun
            at = max(len(self._held) - len(end), 0)
        elif found := re.match(rb"(\d+)\r?\n", self._held[at + len(end) :]):
            self.status = int(found[1])
        body, self._held = self._held[:at], self._held[at:]
        return body

    def errors(self, data: bytes) -> str:
        """What the script wrote to standard error; all of it where it never began."""
        return data.rpartition(f"{self._begin}\n".encode())[2].decode(errors="replace")

    def answer(self, out: str, err: str) -> Answer | None:
        """What a whole call came to; None where the script did not come to its end."""
        said = self.feed(out.encode(errors="surrogateescape"))
        if self.status is None:
            return None
        return Answer(self.status, said.decode(errors="surrogateescape"), self.errors(err.encode()))
