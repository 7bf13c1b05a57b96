"""How the memory of a container is divided: inference threads, and decoded pictures.

The limits of a request (images, pixels) say nothing about what a container has: pictures of all
requests of a worker wait here until there is room for them, and one that could never have it is
refused.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from ppocr_contract.settings import Settings

from .report import RequestError
from .server.worker_registry import resident_bytes

_MEGA = 1_000_000
#: Bytes beside the workers: the front and gunicorn's master.
_OTHERS = 120 * _MEGA
#: Bytes of a worker when its models are loaded, and what each inference thread comes to keep for a
#: page of the default size: measured with the models of the image.
_WORKER = 280 * _MEGA
_INFERENCE = 150 * _MEGA
#: Never less, however small the container: a page of 300 dpi fits.
_LEAST = 80 * _MEGA
#: Large pictures leave a share of one in so many to small ones, which have so many bytes at most.
_RESERVE = 8
_SMALL = 64 * _MEGA
#: The lines of a picture, which are cut out of it together, have so many times its pixels at most.
CUT_OUT = 2
#: Two workers are there for a while when one is renewed: half of the container is left to others.
_SHARE = 0.5
#: Share of a request's time that its pictures wait at most.
_PATIENCE = 0.5
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def container_bytes(files: tuple[str, ...] = _LIMITS) -> int:
    """Memory this container may take: its limit, or what the host has."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in files:
        with contextlib.suppress(OSError, ValueError):  # not this version; "max"
            return min(int(Path(path).read_text()), host)
    return host


def workers_share(workers: int) -> int:
    """Bytes for each of so many workers of this container."""
    return (container_bytes() - _OTHERS) // workers


def inferences(cpus: int, workers: int, beside: int = 0) -> int:
    """Inferences to run at once in each worker: one a CPU, fewer where memory is short.

    ``beside`` is :func:`ppocr_contract.resources.loaded_beside`.
    """
    loaded = _WORKER + beside * _MEGA
    # One thread more than infer at once (runtime.threads), except where that is one.
    threads = (workers_share(workers) - loaded - _LEAST) // _INFERENCE
    return max(1, min(cpus, threads - 1))


class Room:
    """A budget of bytes, granted in the order of requests.

    What is small does not wait behind what is large: it has an order and a reserve of its own.

    Attributes:
        total: bytes one request may hold.
    """

    def __init__(self, size: int, seconds: float) -> None:
        self._reserve = size // _RESERVE
        self.total = size - self._reserve
        self._small = min(self._reserve // 4, _SMALL)
        self._seconds = seconds
        self._free = size
        #: Who waits, apart for large (True) and small sizes.
        self._waiting: dict[bool, deque[object]] = {True: deque(), False: deque()}
        self._changed = threading.Condition()

    def is_large(self, size: int) -> bool:
        """Whether so many bytes leave the reserve to smaller sizes."""
        return size > self._small

    def _fits(self, size: int) -> bool:
        return size <= self._free - (self._reserve if self.is_large(size) else 0)

    def try_take(self, size: int) -> bool:
        """Take ``size`` bytes if they are free and no request waits."""
        with self._changed:
            if self._waiting[self.is_large(size)] or not self._fits(size):
                return False
            self._free -= size
            return True

    def patience(self) -> float:
        """Until when (monotonic seconds) a request that begins now waits, in all."""
        return time.monotonic() + self._seconds

    def take(self, size: int, until: float | None = None) -> None:
        """Wait for ``size`` bytes; who holds some already must not, or two wait for each other.

        Args:
            size: bytes.
            until: of :meth:`patience`; by default the wait begins now.

        Raises:
            RequestError: they did not become free in time.
        """
        ticket = object()
        seconds = max((until or self.patience()) - time.monotonic(), 0)
        with self._changed:
            waiting = self._waiting[self.is_large(size)]
            waiting.append(ticket)
            try:
                if not self._changed.wait_for(
                    lambda: waiting[0] is ticket and self._fits(size), seconds
                ):
                    raise RequestError(
                        "other requests hold the memory for pictures: try again later, or raise "
                        "hubserving_memory_limit",
                        "busy",
                        503,
                    )
                self._free -= size
            finally:
                waiting.remove(ticket)
                self._changed.notify_all()

    def give_back(self, size: int) -> None:
        """End what :meth:`take` or :meth:`try_take` began."""
        with self._changed:
            self._free += size
            self._changed.notify_all()

    @contextlib.contextmanager
    def held(self, size: int, until: float | None = None) -> Iterator[Callable[[int], None]]:
        """Hold ``size`` bytes for the time of the block, which is given a way to keep fewer.

        ``until`` as in :meth:`take`.

        Raises:
            RequestError: they did not become free in time.
        """
        kept = size

        def keep(fewer: int) -> None:
            nonlocal kept
            if fewer < kept:
                self.give_back(kept - fewer)
                kept = fewer

        self.take(size, until)
        try:
            yield keep
        finally:
            self.give_back(kept)

    def refusal(self, width: int, height: int, size: int) -> RequestError:
        """Why a picture that takes ``size`` bytes is not read at all."""
        return RequestError(
            f"reading {width} x {height} pixels takes {size // _MEGA} MB, a worker of this "
            f"container has {self.total // _MEGA} MB for pictures: send it smaller, or raise "
            "hubserving_memory_limit",
            "pixels",
            413,
        )


_room: Room | None = None
_making = threading.Lock()


def room(settings: Settings, workers: int, threads: int) -> Room:
    """The memory budget of this process, created at first use: after the models are loaded.

    Args:
        settings: of the service.
        workers: processes that share the container.
        threads: inference threads of each.
    """
    global _room
    with _making:
        if _room is None:
            left = workers_share(workers) - resident_bytes(os.getpid()) - threads * _INFERENCE
            total = max(_LEAST, min(left, int(workers_share(workers) * _SHARE)))
            _room = Room(total, settings.timeout * _PATIENCE)
        return _room


def forget_room() -> None:
    """Measure again: another model was loaded. To be called while no picture is held."""
    global _room
    with _making:
        _room = None


def _after_fork() -> None:
    global _room, _making
    _room, _making = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
