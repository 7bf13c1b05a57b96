"""State shared by requests: access control, ready workers, memory for bodies, counters."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Protocol

from ppocr_contract.config import ServingConfig
from ppocr_contract.settings import Settings

from ..supervisor import AGAIN
from .access import Access
from .gpu_watch import GpuWatch
from .metrics import Metrics
from .not_ready import NotReady
from .upstream import Busy, Upstream
from .worker_slots import WorkerSlots
from .workers import Workers

_STARTING = "the service is starting"
_STARTING_RETRY = 5


class Unfinished(Protocol):
    """A request in flight."""

    def abandon(self) -> None:
        """Answer that the service ends before it could."""


class Service:
    """The service as its handlers see it; :mod:`.front` starts and stops it.

    Attributes:
        in_flight: requests that have no answer yet.
        stopping: set once no further request is taken in.
        gpu: looks at the cards, where there are any.
    """

    def __init__(self, serving: ServingConfig, settings: Settings) -> None:
        self.settings = settings
        self.modules = frozenset(serving.modules)
        self.access = Access(settings)
        self.metrics = Metrics()
        slots = WorkerSlots(settings.workers)
        self.workers = Workers(settings, self.metrics, slots)
        self.upstream = Upstream(slots, settings, self.metrics, self.has_worker)
        self.not_ready = NotReady()
        self.gpu = GpuWatch() if serving.uses_gpu else None
        self.page = Path(__file__).with_name("page.html").read_bytes()
        self.in_flight: set[Unfinished] = set()
        self.stopping = asyncio.Event()
        self._held = 0
        # One that follows a front that had been ready: requests wait for its first worker.
        self._was_ready = bool(os.environ.get(AGAIN))

    def has_worker(self) -> bool:
        """Whether a worker is ready."""
        return self.workers.ready > 0

    def state(self) -> dict[str, Any]:
        """What ``/readyz`` shows: ``reason`` says why it is not ready, ``degraded`` what is amiss
        though it is."""
        known = self.not_ready.read()
        reason = ""
        if self.stopping.is_set():
            reason = "the service is stopping"
        elif self.gpu and self.gpu.problem:
            reason = self.gpu.problem
        elif not self.workers.ready:
            served = bool(self.workers.devices)
            reason = known or ("no worker is ready" if served else _STARTING)
        return {
            "ready": not reason,
            "modules": self.workers.devices,
            "workers": self.workers.ready,
            **({"reason": reason} if reason else {"degraded": known} if known else {}),
        }

    def busy(self) -> Busy | None:
        """Why no further request can be accepted now."""
        if self.stopping.is_set():
            return Busy("the service is stopping", _STARTING_RETRY)
        # Once started, requests wait for a worker that is being replaced: none is refused.
        if not (self._was_ready or self.workers.devices):
            return Busy(_STARTING, _STARTING_RETRY)
        return self.upstream.refusal() if self.upstream.full else None

    def hold(self, size: int) -> bool:
        """Account for bytes of a body; False when there is no room for them."""
        if self._held + size > self.settings.buffer_bytes:
            return False
        self._held += size
        self.metrics.buffered.set(self._held)
        return True

    def release(self, size: int) -> None:
        """Give back what :meth:`hold` took."""
        self._held -= size
        self.metrics.buffered.set(self._held)
