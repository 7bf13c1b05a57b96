"""Starts the server as a child; where it keeps failing, stops trying instead of looping for ever.

Docker's restart policies offer either "back after a reboot" (unless-stopped) or "gives up after n
failures" (on-failure), not both. With ``PPOCR_MAX_FAILURES`` set the container therefore stays up
after that many failures in a row, unhealthy and idle, its last error in the log, until an operator
restarts it. Unset, the first failure ends the container, as a person running it by hand expects.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from types import FrameType

log = logging.getLogger(__name__)

#: A server that ran this long (seconds) had started well: failures before it no longer count.
_STARTED_WELL = 120.0
_PAUSE = 2.0


class Supervisor:
    """Runs one command, again when it fails, at most ``max_failures`` times in a row."""

    def __init__(self, command: Sequence[str], max_failures: int) -> None:
        self._command = list(command)
        self._max_failures = max_failures
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        if self._child is not None:
            self._child.send_signal(number)

    def run(self) -> int:
        """Return the exit status for the container."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        failures = 0
        while True:
            started = time.monotonic()
            self._child = subprocess.Popen(self._command)
            status = self._child.wait()
            if self._stopping:
                return 0
            if status == 0 or not self._max_failures:
                return status if status >= 0 else 128 - status
            ran = time.monotonic() - started
            failures = 1 if ran > _STARTED_WELL else failures + 1
            log.error("the server ended with status %d after %.0f s", status, ran)
            if failures >= self._max_failures:
                return self._hold(failures)
            time.sleep(_PAUSE)

    def _hold(self, failures: int) -> int:
        log.error(
            "gave up after %d failures in a row; the cause is logged above. "
            "Correct it and deploy again, or restart the container",
            failures,
        )
        while not self._stopping:
            signal.pause()
        return 1


def max_failures() -> int:
    text = os.environ.get("PPOCR_MAX_FAILURES", "0")
    return int(text) if text.isdigit() else 0
