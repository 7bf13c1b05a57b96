"""Ends a worker that hangs: the front asks another one, gunicorn's master starts a new one."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

from ..logs import event

log = logging.getLogger(__name__)

_LOOK = 0.25  # seconds


class Watchdog:
    """Kills this process when a request has taken longer than ``timeout`` seconds.

    A worker that cannot even run this thread stops its heartbeat too, and gunicorn's master kills
    it after the same time.
    """

    def __init__(self, timeout: float, before: Callable[[], None]) -> None:
        self._timeout = timeout
        self._before = before
        self._started: dict[int, tuple[float, str]] = {}
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextlib.contextmanager
    def watching(self, request_id: str) -> Iterator[None]:
        """Count the time of the block."""
        key = threading.get_ident()
        self._started[key] = (time.monotonic(), request_id)
        try:
            yield
        finally:
            self._started.pop(key, None)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK)
            oldest, request_id = min(list(self._started.values()), default=(time.monotonic(), ""))
            if time.monotonic() - oldest > self._timeout:
                self._before()
                event(log, "worker hangs: killed", logging.ERROR, request=request_id)
                os.kill(os.getpid(), signal.SIGKILL)
