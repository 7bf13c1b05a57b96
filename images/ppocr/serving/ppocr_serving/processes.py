"""Processes end with those that started them: parents, orphans and states, from the kernel."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from .logs import event

log = logging.getLogger(__name__)

#: Passes the starter's pid to a process that is to end with it.
PARENT = "PPOCR_PARENT"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TICK = 0.05
#: Seconds killed processes have to go: one that hangs in a driver may never.
_TO_GO = 10.0


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def adopt_orphans() -> None:
    """Become the parent of every process below this one that loses its own, as init would."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process as soon as its parent ends.

    The kernel looks at the *thread* that started this process: the parent starts it from its main
    thread, or from one that waits for it.

    Args:
        parent: pid of the parent. Where another process has taken its place the parent ended before
            this call, and this process ends here.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def end_with_starter() -> None:
    """As :func:`end_with_parent`, where the starter left its pid in the environment."""
    if parent := os.environ.pop(PARENT, ""):
        end_with_parent(int(parent))


def end_before_others(score: int) -> None:
    """Where memory runs out, let the kernel kill this process before those of a lower score.

    Args:
        score: 0, which every process begins with, to 1000.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(score))


def environment() -> dict[str, str]:
    """What a process that is to end with this one is started with."""
    return {**os.environ, PARENT: str(os.getpid())}


def _stat(pid: int) -> tuple[str, int]:
    """State (one letter) and parent of a process; ("", 0) when it is gone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The name, in parentheses, may hold anything.
        rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return rest[0], int(rest[1])
    return "", 0


def is_stopped(pid: int) -> bool:
    """Whether a process was sent SIGSTOP; one that only waits for a CPU was not."""
    return _stat(pid)[0] == "T"


def descendants(pid: int) -> Iterator[int]:
    """Processes below a process, parents first; zombies are left out."""
    found: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            state, parent = _stat(int(path.name))
            if state not in ("", "Z"):
                found.setdefault(parent, []).append(int(path.name))
    below = found.get(pid, [])
    while below:
        yield from below
        below = [child for one in below for child in found.get(one, [])]


def _reap() -> bool:
    """Reap children that have ended; return whether there are others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def end_descendants() -> None:
    """Kill whatever runs below this process, and what that leaves behind (see adopt_orphans)."""
    deadline = time.monotonic() + _TO_GO
    while _reap():
        left = list(descendants(os.getpid()))
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            event(log, "processes do not end though killed", logging.ERROR, pids=left)
            return
        time.sleep(_TICK)
