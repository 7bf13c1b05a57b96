"""Whose work is next, where requests share a few threads.

First come, first served would let one request of many pages, or of one huge picture, hold up all
that came after it. Requests take turns instead, one piece of work each; and large requests together
get half of the threads, and half of the time, while small ones want any. Alone they have it all.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import Generic, TypeVar

W = TypeVar("W")

#: Seconds after its last piece in which small work is expected to go on: what is large cannot be
#: interrupted once it runs.
_EXPECTED = 1.0
#: Seconds one side may be behind the other; what is older is forgiven.
_MEMORY = 2.0


class _Queue(Generic[W]):
    """Pieces of work of several owners, who take turns."""

    def __init__(self) -> None:
        self._owners: OrderedDict[object, deque[W]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._owners)

    def add(self, owner: object, piece: W) -> None:
        self._owners.setdefault(owner, deque()).append(piece)

    def take(self) -> W:
        owner, pieces = self._owners.popitem(last=False)
        piece = pieces.popleft()
        if pieces:
            self._owners[owner] = pieces  # behind all others
        return piece


class Turns(Generic[W]):
    """Pieces of work that wait for a thread. Not safe for threads: its user has a lock.

    Args:
        threads: that work on them.
    """

    def __init__(self, threads: int) -> None:
        self._half = max(threads // 2, 1)
        self._threads = threads
        #: Of large work (True) and of small work.
        self._waiting: dict[bool, _Queue[W]] = {True: _Queue(), False: _Queue()}
        self._running = {True: 0, False: 0}
        self._small_until = 0.0
        #: Seconds large work has had more than small work.
        self._ahead = 0.0

    def add(self, owner: object, large: bool, piece: W) -> None:
        """``owner`` has another piece of work."""
        self._waiting[large].add(owner, piece)

    def take(self) -> tuple[W, bool] | None:
        """What to run now and whether it is large, or None; :meth:`done` ends it."""
        small = bool(self._waiting[False])
        wanted = small or self._running[False] or time.monotonic() < self._small_until
        most = self._half if wanted else self._threads
        large = bool(self._waiting[True]) and self._running[True] < most
        if not small and not large:
            return None
        large = large and (not small or self._ahead < 0)
        self._running[large] += 1
        return self._waiting[large].take(), large

    def done(self, large: bool, seconds: float) -> None:
        """A piece has ended, after so many seconds."""
        self._running[large] -= 1
        if not large:
            self._small_until = time.monotonic() + _EXPECTED
        ahead = self._ahead + (seconds if large else -seconds)
        self._ahead = min(max(ahead, -_MEMORY), _MEMORY)
