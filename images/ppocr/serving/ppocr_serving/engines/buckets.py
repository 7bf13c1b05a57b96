"""Shapes of input, each with a session prepared for it.

A card plans its convolutions anew for each new shape, which takes longer than computing them: a
line 45 ms instead of 2. So shapes are few (lines are padded to a multiple of a width, batches to a
power of two), and the common ones have a session each. What is rare runs in one session that takes
any shape, until it is not rare any more.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

log = logging.getLogger(__name__)

Shape = tuple[int, ...]
#: Occurrences of a shape until it gets a session, which takes about a second.
_COMMON = 3
#: Shapes whose occurrences are counted: rare ones must not fill the memory.
_COUNTED = 1000
#: Bytes of a card's memory: what a session takes at most, and what is left free beside it, or an
#: eighth of a small card: for the session of any shape, and a worker that replaces this one.
_SESSION = 400_000_000
_SPARE = 1_000_000_000
_SPARE_OF_SMALL = 8


class Session(Protocol):
    """A model that is ready to run."""

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """The output for a batch (N, C, H, W), as many rows."""
        ...


def padded(count: int, most: int) -> int:
    """Rows a batch of ``count`` is padded to: a power of two, ``most`` where that is less."""
    return min(1 << (count - 1).bit_length(), max(count, most))


class Buckets:
    """Runs each batch in the session of its shape; on one thread.

    Args:
        make: opens a session.
        most: sessions of shapes; the one that was not used for longest makes room.
        rows: of the largest batch.
        has_no_room: whether an exception means that the card's memory is full.
        memory: bytes of the card, free and in all; None where there is no card.
    """

    def __init__(
        self,
        make: Callable[[], Session],
        most: int,
        rows: int,
        has_no_room: Callable[[Exception], bool] = lambda error: False,
        memory: Callable[[], tuple[int, int] | None] = lambda: None,
    ) -> None:
        self._make, self._most, self._rows = make, most, rows
        self._has_no_room, self._memory = has_no_room, memory
        self._any = make()
        self._of_shape: OrderedDict[Shape, Session] = OrderedDict()
        self._met: Counter[Shape] = Counter()

    def warm(self, shapes: Sequence[Shape], told: Callable[[int, int], None]) -> None:
        """Prepare sessions for shapes, the most important first; ``told(done, all)`` after each.

        Stops where the card has no memory for more.
        """
        wanted = shapes[: self._most]
        for number, shape in enumerate(wanted, 1):
            if not self._prepare(shape):
                return
            told(number, len(wanted))

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """The output for a batch (N, C, H, W)."""
        shape = self._shape_for(batch.shape)
        if len(batch) < shape[0]:
            filled = np.zeros(shape, np.float32)
            filled[: len(batch)] = batch
        else:
            filled = np.ascontiguousarray(batch)
        return self._session(shape)(filled)[: len(batch)]

    def _shape_for(self, given: Shape) -> Shape:
        """The size a batch is padded to: the smallest with a session, if there is one."""
        like = (shape for shape in self._of_shape if shape[1:] == given[1:])
        fits = [shape for shape in like if shape[0] >= given[0]]
        return min(fits, default=(padded(given[0], self._rows), *given[1:]))

    def _session(self, shape: Shape) -> Session:
        if shape not in self._of_shape:
            if len(self._met) >= _COUNTED:
                self._met.clear()
            self._met[shape] += 1
            if self._met[shape] < _COMMON or not self._prepare(shape):
                return self._any
        self._of_shape.move_to_end(shape)
        return self._of_shape[shape]

    def _prepare(self, shape: Shape) -> bool:
        """Create a session for a shape; false if the card has no memory for it."""
        self._met.pop(shape, None)
        if not self._most:
            return False
        if len(self._of_shape) >= self._most:
            self._of_shape.popitem(last=False)
        elif self._is_short():
            self._keep_to_these()
            return False
        try:
            session = self._make()
            session(np.zeros(shape, np.float32))
        except Exception as error:
            if not self._has_no_room(error):
                raise
            self._keep_to_these()
            return False
        self._of_shape[shape] = session
        return True

    def _is_short(self) -> bool:
        """Whether one more session would leave too little of the card's memory."""
        if (memory := self._memory()) is None:
            return False
        free, total = memory
        return free < _SESSION + min(_SPARE, total // _SPARE_OF_SMALL)

    def _keep_to_these(self) -> None:
        self._most = len(self._of_shape)
        log.warning(
            "the card has no memory for more than %d prepared shapes: others are slower. End "
            "what else runs on it, or lower hubserving_workers_per_gpu or hubserving_gpu_shapes",
            self._most,
        )
