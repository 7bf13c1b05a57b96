"""Progress of transfers: bytes, rate and time left, for a terminal or a log."""

from __future__ import annotations

import sys
import threading
import time
from typing import TextIO

_TERMINAL_EVERY, _LOG_EVERY = 0.2, 10.0


def megabytes(count: float) -> str:
    """Return bytes in readable MB (10^6)."""
    return f"{count / 1e6:.1f} MB" if count < 1e8 else f"{count / 1e6:.0f} MB"


class Progress:
    """One line on standard error: rewritten on a terminal, in a log a new one every 10 s.

    Thread-safe. ``start`` sets the total bytes of each part (a host, a layer).
    """

    def __init__(self, verb: str, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.verb, self.quiet = verb, quiet
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._lock = threading.Lock()
        self._parts: dict[str, tuple[int, int]] = {}
        self._moved = 0
        self._began = self._shown = time.monotonic()
        self._wrote = False

    def start(self, part: str, total: int, done: int = 0) -> None:
        """Begin a part of ``total`` bytes, of which ``done`` are already transferred."""
        with self._lock:
            self._parts[part] = (done, total)

    def add(self, part: str, count: int) -> None:
        """Count ``count`` more bytes of a part as transferred."""
        with self._lock:
            done, total = self._parts.get(part, (0, 0))
            self._parts[part] = (done + count, total)
            self._moved += count
            now = time.monotonic()
            if now - self._shown >= (_TERMINAL_EVERY if self._terminal else _LOG_EVERY):
                self._shown = now
                self._write(self.line(now))

    def line(self, now: float) -> str:
        """``sending 120 of 543 MB (22 %), 11.2 MB/s, 0:38 left``, then each part's share."""
        done = sum(part[0] for part in self._parts.values())
        total = sum(part[1] for part in self._parts.values())
        rate = self._moved / max(now - self._began, 1e-3)
        text = f"{self.verb} {megabytes(done)}"
        if total:
            text += f" of {megabytes(total)} ({100 * done // total} %)"
        text += f", {megabytes(rate)}/s"
        if total and rate:
            left = int((total - done) / rate)
            text += f", {left // 60}:{left % 60:02d} left"
        if len(self._parts) > 1:
            shares = (
                f"{name} {100 * d // t if t else 100} %" for name, (d, t) in self._parts.items()
            )
            text += f"  [{', '.join(shares)}]"
        return text

    def _write(self, text: str) -> None:
        if self.quiet:
            return
        if self._terminal:
            self._stream.write(f"\r\033[K{text[:200]}")
            self._wrote = True
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def say(self, text: str) -> None:
        """Print a line that is not overwritten."""
        with self._lock:
            if not self.quiet:
                self._stream.write(f"\r\033[K{text}\n" if self._terminal else f"{text}\n")
                self._stream.flush()

    def close(self) -> None:
        """End the line on a terminal."""
        with self._lock:
            if self._wrote:
                self._write(self.line(time.monotonic()))
                self._stream.write("\n")
                self._wrote = False
