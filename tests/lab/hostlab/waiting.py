"""Bounded waits."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(ready: Callable[[], bool], timeout: float, every: float) -> bool:
    """Ask until the answer is yes; False when the time (seconds) is over."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
