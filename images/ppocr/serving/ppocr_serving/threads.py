"""Threads that requests take turns on."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from .report import current
from .turns import Turns

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Threads:
    """The inference threads of one engine; requests take turns on them (see :mod:`.turns`).

    Attributes:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix="inference")
        self._turns: Turns[Callable[[], None]] = Turns(count)
        self._free = count
        self._lock = threading.Lock()

    def start(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call ``function`` on one of the threads, with the caller's context."""
        context, future, report = contextvars.copy_context(), Future[R](), current()

        def piece() -> None:
            try:
                future.set_result(context.run(function, *args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        with self._lock:
            self._turns.add(id(report), report is not None and report.large, piece)
            self._fill()
        return future

    def _fill(self) -> None:
        """Give free threads work; the lock is held."""
        while self._free and (taken := self._turns.take()):
            self._free -= 1
            self._pool.submit(self._work, *taken)

    def _work(self, piece: Callable[[], None], large: bool) -> None:
        started = time.monotonic()
        piece()
        with self._lock:
            self._free += 1
            self._turns.done(large, time.monotonic() - started)
            self._fill()

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``function`` on one of the threads; wait for its result or exception."""
        return self.start(function, *args, **kwargs).result()

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Results of ``function`` for each item, worked on at once; not to be called from them."""
        return [future.result() for future in [self.start(function, item) for item in items]]
