"""WorkerSlots: each worker has a socket of its own and, on GPUs, a card of its own.

A request is given to the slot that is least busy, so a free card never waits while requests queue
for another. A worker learns its card after it was forked and before it imports anything of CUDA.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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

    age: int
    sockets: list[Any]
    slot: int


class Assignment:
    """Gives each worker its slot; used by gunicorn's master and, after the fork, by the worker."""

    def __init__(self, cards: Sequence[str]) -> None:
        self._cards = cards

    def choose(self, workers: Iterable[Worker]) -> int:
        """The slot for a new worker: the emptiest one; among equals the one of the oldest worker,
        which is the next to be retired."""
        there = sorted(workers, key=lambda worker: worker.age)
        filled = Counter(worker.slot for worker in there)
        order = [worker.slot for worker in there]
        return min(
            range(len(self._cards)),
            key=lambda slot: (filled[slot], order.index(slot) if slot in order else slot),
        )

    def before_fork(self, server: Any, worker: Any) -> None:
        """gunicorn's pre_fork: slot and socket."""
        worker.slot = self.choose(server.WORKERS.values())
        mine = str(socket_of(worker.slot))
        worker.sockets = [one for one in worker.sockets if str(one.getsockname()) == mine]

    def after_fork(self, server: Any, worker: Any) -> None:
        """gunicorn's post_fork: this process sees its own card only."""
        if card := self._cards[worker.slot]:
            os.environ[VISIBLE] = card


class WorkerSlots:
    """The front's view: how busy each slot is, and which have a worker."""

    def __init__(self, count: int) -> None:
        self._busy = [0] * count
        self.ready: set[int] = set()

    @contextlib.contextmanager
    def least_busy(self) -> Iterator[int]:
        """The slot to ask; it counts as busier for the time of the block."""
        slot = min(self.ready or range(len(self._busy)), key=lambda one: self._busy[one])
        self._busy[slot] += 1
        try:
            yield slot
        finally:
            self._busy[slot] -= 1

    def deserted(self, slot: int) -> bool:
        """Whether a slot has lost its worker while another one has one."""
        return bool(self.ready) and slot not in self.ready
