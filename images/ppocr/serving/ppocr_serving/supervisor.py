"""Runs the server as a child, and restarts it when it ends; gives up if it cannot start at all.

What counts is whether the server has served. One that has, and then ends, is started anew at once,
however often, with a pause that grows to a few seconds where it ends again and again. One that ends
by itself before it ever served has a cause that another try does not change: after
``PPOCR_MAX_FAILURES`` of these in a row the container stays up for ten minutes, unhealthy and idle,
its last error in the healthcheck and the log, instead of looping. Then it ends, and the engine's
restart policy, the last resort, recreates everything. Unset, the first end of the server ends
the container, as a person running it by hand expects.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType

from ppocr_contract.settings import RUN_DIR

from . import listening, processes
from .server.not_ready import NotReady

log = logging.getLogger(__name__)

#: Touched by the front once requests are answered.
SERVED = RUN_DIR / "served"
#: A server without a front (hub) that ran for so many seconds had started well.
_STARTED_WELL = 120.0
#: Set for a server that follows one that has served: requests wait for it, none is refused.
AGAIN = "PPOCR_AGAIN"
#: Seconds before the next try: after a start that failed, and after a server that had served, where
#: they double from the least to the most while none runs for a minute.
_PAUSE = 2.0
_LEAST, _MOST = 0.1, 5.0
_CALM = 60.0
#: Seconds of idling after giving up, before the engine's restart policy has its turn.
_HOLD = 600.0
#: Seconds a server that was stopped (SIGSTOP) has to be continued.
_STOPPED = 2.0
#: Signals from outside: they say nothing on whether the server can start.
_SENT = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}

_gave_up = NotReady(RUN_DIR / "gave-up.txt")


def gave_up() -> str:
    """Why the supervisor idles; empty while it does not."""
    return _gave_up.read()


class Supervisor:
    """Runs one command, again when it ends.

    Args:
        command: the server.
        max_failures: failed starts in a row after which to give up; 0 to end with the first.
        open_sockets: makes the sockets the server listens on, held here between two of them.
    """

    def __init__(
        self,
        command: Sequence[str],
        max_failures: int,
        open_sockets: Callable[[], Sequence[socket.socket]] = list,
    ) -> None:
        self._command = list(command)
        self._max_failures = max_failures
        self._sockets: Sequence[socket.socket] = ()
        self._open_sockets = open_sockets
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._not_ready = NotReady()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._close_sockets()
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(number)

    def _close_sockets(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets = ()

    def run(self) -> int:
        """Return the exit status for the container."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        # A healthcheck from before a restart of the container is not to be answered by its files.
        _gave_up.clear()
        with contextlib.suppress(OSError):
            processes.adopt_orphans()
        if self._max_failures:
            self._sockets = self._open_sockets()
        failures, pause, again = 0, 0.0, False
        while True:
            started = time.monotonic()
            status = self._run_once(again)
            ran = time.monotonic() - started
            if self._stopping:
                return 0
            if not self._max_failures:
                return status if status >= 0 else 128 - status
            log.error("the server ended with status %d after %.0f s", status, ran)
            served = SERVED.exists()
            again = again or served
            if served or status in _SENT:
                failures = 0 if served else failures
                pause = _LEAST if ran > _CALM else min(max(2 * pause, _LEAST), _MOST)
            else:
                failures = 1 if ran > _STARTED_WELL else failures + 1
                pause = _PAUSE
            if failures >= self._max_failures:
                return self._hold(failures, status)
            self._wait(pause)
            if self._stopping:
                return 0

    def _run_once(self, again: bool) -> int:
        """Run the server until it ends; return its status once nothing of it is left."""
        self._not_ready.clear()
        with contextlib.suppress(OSError):
            SERVED.unlink()
        sockets = self._sockets
        self._child = subprocess.Popen(
            self._command,
            env={
                **processes.environment(),
                **(listening.passed_on(sockets) if sockets else {}),
                **({AGAIN: "1"} if again else {}),
            },
            pass_fds=[one.fileno() for one in sockets],
        )
        if self._stopping:  # the signal came while it was started
            self._child.terminate()
        status = self._until_its_end(self._child)
        processes.end_descendants()
        return status

    def _until_its_end(self, child: subprocess.Popen[bytes]) -> int:
        """Wait for the server, and take in orphans meanwhile."""
        while True:
            pid, status = os.waitpid(-1, os.WUNTRACED)
            if pid != child.pid:
                continue
            if not os.WIFSTOPPED(status):
                child.returncode = os.waitstatus_to_exitcode(status)
                return child.returncode
            if os.WSTOPSIG(status) == signal.SIGSTOP:
                time.sleep(_STOPPED)
                if processes.is_stopped(pid):
                    log.error("the server was stopped (SIGSTOP) and not continued: killed")
                    child.kill()

    def _wait(self, seconds: float) -> None:
        """Sleep, but not through a signal to stop."""
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def _hold(self, failures: int, status: int) -> int:
        self._close_sockets()
        cause = self._not_ready.read() or f"its last status was {status}; the log has more"
        message = f"gave up after {failures} failures in a row: {cause}"
        _gave_up.write(message)
        log.error(
            "%s. Correct it and deploy again, or restart the container; otherwise it exits in "
            "%.0f minutes, for the engine's restart policy to try again",
            message,
            _HOLD / 60,
        )
        self._wait(_HOLD)
        return 1


def max_failures() -> int:
    text = os.environ.get("PPOCR_MAX_FAILURES", "0")
    return int(text) if text.isdigit() else 0
