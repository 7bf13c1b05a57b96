"""Lanes: each worker has a socket of its own and, on GPUs, a card of its own.

A request is given to the lane that is least busy, so a free card never waits while requests queue
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


def cards_of_lanes(serving: ServingConfig, settings: Settings) -> tuple[str, ...]:
    """For each lane the card its worker runs on, an empty string on a CPU.

    On GPUs there are ``workers_per_gpu`` lanes a card, the cards in turn: the first workers to be
    ready spread over all of them.
    """
    if serving.uses_gpu:
        return visible_devices() * settings.workers_per_gpu
    return ("",) * settings.workers


def socket_of(lane: int) -> Path:
    """Where the worker of a lane listens."""
    return RUN_DIR / f"workers-{lane}.sock"


def remove_sockets() -> None:
    """Remove what an earlier gunicorn left, which had no time to."""
    for path in RUN_DIR.glob("workers-*.sock"):
        path.unlink(missing_ok=True)


class Worker(Protocol):
    """What is used of gunicorn's workers."""

    age: int
    sockets: list[Any]
    lane: int


class Assignment:
    """Gives each worker its lane; used by gunicorn's master and, after the fork, by the worker."""

    def __init__(self, cards: Sequence[str]) -> None:
        self._cards = cards

    def choose(self, workers: Iterable[Worker]) -> int:
        """The lane for a new worker: the emptiest one; among equals the one of the oldest worker,
        which is the next to be retired."""
        there = sorted(workers, key=lambda worker: worker.age)
        crowd = Counter(worker.lane for worker in there)
        order = [worker.lane for worker in there]
        return min(
            range(len(self._cards)),
            key=lambda lane: (crowd[lane], order.index(lane) if lane in order else lane),
        )

    def before_fork(self, server: Any, worker: Any) -> None:
        """gunicorn's pre_fork: lane and socket."""
        worker.lane = self.choose(server.WORKERS.values())
        mine = str(socket_of(worker.lane))
        worker.sockets = [one for one in worker.sockets if str(one.getsockname()) == mine]

    def after_fork(self, server: Any, worker: Any) -> None:
        """gunicorn's post_fork: this process sees its own card only."""
        if card := self._cards[worker.lane]:
            os.environ[VISIBLE] = card


class Lanes:
    """The front's view: how busy each lane is, and which have a worker."""

    def __init__(self, count: int) -> None:
        self._busy = [0] * count
        self.ready: set[int] = set()

    @contextlib.contextmanager
    def least_busy(self) -> Iterator[int]:
        """The lane to ask; it counts as busier for the time of the block."""
        lane = min(self.ready or range(len(self._busy)), key=lambda one: self._busy[one])
        self._busy[lane] += 1
        try:
            yield lane
        finally:
            self._busy[lane] -= 1

    def deserted(self, lane: int) -> bool:
        """Whether a lane has lost its worker while another one has one."""
        return bool(self.ready) and lane not in self.ready
