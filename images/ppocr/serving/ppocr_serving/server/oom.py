"""Whether the kernel killed a process of this container for memory, from its cgroup."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

#: Seconds after which a kill no longer explains a worker's end: large ones take a while to go.
_RECENT = 10.0
_COUNTERS = ("memory.events", "memory/memory.oom_control")  # cgroup v2, v1


def kills(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Processes of this container the kernel has killed for memory; 0 where it does not say."""
    for name in _COUNTERS:
        with contextlib.suppress(OSError):
            for line in (root / name).read_text().splitlines():
                key, _, number = line.partition(" ")
                if key == "oom_kill":
                    return int(number)
    return 0


class OomWatch:
    """Distinguishes workers killed for memory from others; to be called repeatedly."""

    def __init__(self) -> None:
        self._seen = kills()
        self._unexplained: list[float] = []

    def look(self) -> None:
        """Record what was killed since the last call."""
        now, count = time.monotonic(), kills()
        self._unexplained = [when for when in self._unexplained if now - when < _RECENT]
        self._unexplained += [now] * (count - self._seen)
        self._seen = count

    def explains(self) -> bool:
        """Whether a process that is gone was one of them; each explains one."""
        if self._unexplained:
            self._unexplained.pop()
            return True
        return False
