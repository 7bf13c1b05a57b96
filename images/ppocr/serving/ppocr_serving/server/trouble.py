"""Why the service is not ready: one sentence, written by whoever knows, read by the front.

A file in the container's own tmpfs: the worker that knows is gone when the front is asked.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .settings import RUN_DIR


class Trouble:
    """The sentence, empty when there is none."""

    def __init__(self, path: Path = RUN_DIR / "trouble.txt") -> None:
        self._path = path

    def write(self, reason: str) -> bool:
        """Keep the reason; return whether it is the first, also among processes that race."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_suffix(f".{os.getpid()}")
        aside.write_text(reason)
        try:
            os.link(aside, self._path)
        except FileExistsError:
            aside.rename(self._path)
            return False
        aside.unlink()
        return True

    def read(self) -> str:
        with contextlib.suppress(OSError):
            return self._path.read_text()
        return ""

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)
