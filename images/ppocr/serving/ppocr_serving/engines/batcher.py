"""Batches the inputs of a worker's requests to a model, so that a card computes many at once.

Requests take turns: each batch begins with what another one asks, and is filled up with what any of
them asks in the same shape. So a request of many pages delays a small one by the batch at hand, not
by its own length.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from ..report import current

#: Seconds that a batch which is not full waits for others; a page takes several times as long.
WAIT = 0.002

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class _Ask:
    """Rows of one shape, and when they are run at the latest (monotonic seconds)."""

    rows: np.ndarray
    due: float
    answer: Future[np.ndarray] = field(default_factory=Future)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self.rows.shape[1:]


class Batcher:
    """Calls a model with the rows of all callers, on its own thread.

    Args:
        make: loads the model, on that thread: handles of CUDA and cuDNN belong to the thread that
            calls, so what another one prepared would be prepared again. The model maps float32
            rows (N, ...) to an output with as many rows.
        most: rows of one call.
        wait: seconds that a batch which is not full waits for others.

    Raises:
        Exception: what ``make`` raised.
    """

    def __init__(self, make: Callable[[], Run], most: int, wait: float = WAIT) -> None:
        self._most, self._wait = most, wait
        #: By request, in the order of their turns.
        self._waiting: OrderedDict[int, deque[_Ask]] = OrderedDict()
        self._asked = threading.Condition()
        made = Future[None]()
        work = threading.Thread(target=self._work, args=(make, made), name="batcher", daemon=True)
        work.start()
        made.result()

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The output for some rows; the caller waits.

        Raises:
            Exception: what the model raised for the batch they were in.
        """
        due = time.monotonic() + self._wait
        parts = range(0, len(rows), self._most)
        asks = [_Ask(rows[start : start + self._most], due) for start in parts]
        with self._asked:
            self._waiting.setdefault(id(current()), deque()).extend(asks)
            self._asked.notify_all()
        answers = [ask.answer.result() for ask in asks]
        return answers[0] if len(answers) == 1 else np.concatenate(answers)

    def _work(self, make: Callable[[], Run], made: Future[None]) -> None:
        try:
            run = make()
        except BaseException as error:
            made.set_exception(error)
            return
        made.set_result(None)
        while True:
            with self._asked:
                self._asked.wait_for(lambda: bool(self._waiting))
                left = self._first.due - time.monotonic()
                self._asked.wait_for(self._is_full, max(left, 0))
                asks = self._take(self._first.shape)
            self._answer(run, asks)

    @property
    def _first(self) -> _Ask:
        """What the next batch begins with: only :meth:`_take` changes it."""
        return next(iter(self._waiting.values()))[0]

    def _is_full(self) -> bool:
        """Whether enough rows like the first one wait to fill a batch."""
        waiting = (ask for asks in self._waiting.values() for ask in asks)
        shape = self._first.shape
        return sum(len(ask.rows) for ask in waiting if ask.shape == shape) >= self._most

    def _take(self, shape: tuple[int, ...]) -> list[_Ask]:
        """The next batch: from each request in turn what fits, until nothing more does."""
        first, taken, rows = next(iter(self._waiting)), list[_Ask](), 0
        before = -1
        while before < len(taken):
            before = len(taken)
            for asks in self._waiting.values():
                for ask in asks:
                    if ask.shape == shape and rows + len(ask.rows) <= self._most:
                        asks.remove(ask)
                        taken.append(ask)
                        rows += len(ask.rows)
                        break
        self._waiting.move_to_end(first)
        for owner in [owner for owner, asks in self._waiting.items() if not asks]:
            del self._waiting[owner]
        return taken

    @staticmethod
    def _answer(run: Run, asks: list[_Ask]) -> None:
        try:
            output = run(np.concatenate([ask.rows for ask in asks]))
        except BaseException as error:
            for ask in asks:
                ask.answer.set_exception(error)
            return
        start = 0
        for ask in asks:
            ask.answer.set_result(output[start : start + len(ask.rows)])
            start += len(ask.rows)
