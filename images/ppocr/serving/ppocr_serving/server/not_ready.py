"""Why the service is not ready: one sentence, written by any process, read by the front.

A file in the container's own tmpfs: the worker that knows is gone when the front is asked.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from ppocr_contract.settings import RUN_DIR

from ..logs import shortened

log = logging.getLogger(__name__)


class NotReady:
    """The sentence, empty when there is none."""

    def __init__(self, path: Path = RUN_DIR / "not-ready.txt") -> None:
        self._path = path

    def write(self, reason: str) -> bool:
        """Keep the reason; return whether it is the first, also among processes that race.

        Where it cannot be kept (no space) it is the first, and only the log has it.
        """
        aside = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(shortened(reason).encode("utf-8", "backslashreplace"))
            try:
                os.link(aside, self._path)
            except FileExistsError:
                aside.rename(self._path)
                return False
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)
        with contextlib.suppress(OSError):
            aside.unlink()
        return True

    def read(self) -> str:
        with contextlib.suppress(OSError):
            return self._path.read_text(errors="replace")
        return ""

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
