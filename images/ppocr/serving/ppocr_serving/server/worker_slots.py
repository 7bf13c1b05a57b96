"""WorkerSlots: each worker has a socket of its own and, on GPUs, a card of its own.

A request is given to the slot that is least busy, so a free card never waits while requests queue
for another. A worker learns its card after it was forked and before it imports anything of CUDA.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from ppocr_contract.config import ServingConfig
from ppocr_contract.settings import RUN_DIR, Settings

from ..gpu import VISIBLE, visible_devices


def cards_of_slots(serving: ServingConfig, settings: Settings) -> tuple[str, ...]:
    """For each slot the card its worker runs on, an empty string on a CPU.

    On GPUs there are ``workers_per_gpu`` slots a card, the cards in turn: the first workers to be
    ready spread over all of them.
    """
    if serving.uses_gpu:
        return visible_devices() * settings.workers_per_gpu
    return ("",) * settings.workers


def socket_of(slot: int) -> Path:
    """Where the worker of a slot listens."""
    return RUN_DIR / f"workers-{slot}.sock"


def remove_sockets() -> None:
    """Remove what an earlier gunicorn left, which had no time to."""
    for path in RUN_DIR.glob("workers-*.sock"):
        path.unlink(missing_ok=True)


class Worker(Protocol):
    """What is used of gunicorn's workers."""

    sockets: list[Any]


class Assignment:
    """Gives each worker its slot; used by gunicorn's master and, after the fork, by the worker.

    Attributes:
        slot: of the worker made last; in a worker its own.
        first: it is among the first, one a slot.
    """

    def __init__(self, cards: Sequence[str]) -> None:
        self._cards = cards
        #: The workers there are, the oldest first.
        self._slot_of: dict[Worker, int] = {}
        self._made = 0
        self.slot = 0
        self.first = False

    def _choose(self) -> int:
        """The slot for a new worker: the emptiest one; among equals the one of the oldest worker,
        which is the next to be retired."""
        order = list(self._slot_of.values())
        filled = Counter(order)
        return min(
            range(len(self._cards)),
            key=lambda slot: (filled[slot], order.index(slot) if slot in order else slot),
        )

    def before_fork(self, server: Any, worker: Worker) -> None:
        """gunicorn's pre_fork: slot and socket."""
        self.first = self._made < len(self._cards)
        self._made += 1
        self.slot = self._slot_of[worker] = self._choose()
        mine = str(socket_of(self.slot))
        worker.sockets = [one for one in worker.sockets if str(one.getsockname()) == mine]

    def after_fork(self) -> None:
        """In the worker: this process sees its own card only."""
        if card := self._cards[self.slot]:
            os.environ[VISIBLE] = card

    def after_exit(self, worker: Worker) -> None:
        """In gunicorn's master: a worker has gone."""
        self._slot_of.pop(worker, None)


class WorkerSlots:
    """The front's view: how busy each slot is, and which have a worker."""

    def __init__(self, count: int) -> None:
        self._busy = [0] * count
        self.ready: set[int] = set()

    @contextlib.contextmanager
    def least_busy(self, after: int | None = None) -> Iterator[int]:
        """The slot to ask; it counts as busier for the time of the block.

        ``after`` is the slot whose worker was lost on the same request: any other one comes first,
        as that one has no worker, though it may not be known yet.
        """
        known = self.ready or range(len(self._busy))
        slot = min(known, key=lambda one: (one == after, self._busy[one]))
        self._busy[slot] += 1
        try:
            yield slot
        finally:
            self._busy[slot] -= 1

    def deserted(self, slot: int) -> bool:
        """Whether a slot has lost its worker while another one has one."""
        return bool(self.ready) and slot not in self.ready
