"""gunicorn with its workers, as the front's child: started, watched, renewed one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import Counter
from typing import Any

from ..logs import event
from .lanes import Lanes
from .metrics import Metrics
from .scoreboard import Scoreboard, resident_bytes
from .settings import Settings

log = logging.getLogger(__name__)

_LOOK = 0.5  # seconds between looks at the workers
_START_LIMIT = 180.0  # seconds a new worker has to become ready
_MEGA = 1_000_000


def _devices(found: dict[int, dict[str, Any]]) -> dict[str, str]:
    """Where each module's models run: every device its workers have, once."""
    names = {name for entry in found.values() for name in entry["modules"]}
    return {
        name: ", ".join(sorted({entry["modules"].get(name, "") for entry in found.values()} - {""}))
        for name in sorted(names)
    }


class Workers:
    """The worker processes.

    A worker that has answered ``max_requests`` or has grown beyond ``memory_ceiling`` is renewed:
    another one is started, and only when that one is ready the oldest is asked to end, which it
    does after its requests in flight. One renewal at a time, so the service never pauses.
    """

    def __init__(self, settings: Settings, metrics: Metrics, lanes: Lanes) -> None:
        self._settings = settings
        self._lanes = lanes
        self._metrics = metrics
        self._board = Scoreboard()
        self._process: asyncio.subprocess.Process | None = None
        self._answered: Counter[int] = Counter()
        #: Bytes a worker on a GPU had when it was ready: CUDA takes gigabytes before any request.
        self._ground: Counter[int] = Counter()
        self._known: set[int] = set()
        self._leaving: set[int] = set()
        self._renewal: asyncio.Task[None] | None = None
        self.devices: dict[str, str] = {}
        self.ready = 0

    async def start(self) -> None:
        """Start gunicorn."""
        self._board.clear()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ppocr_serving", "workers"
        )

    async def ended(self) -> int:
        """Wait until gunicorn ends; return its status."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self, seconds: float) -> None:
        """Ask gunicorn to end; kill it after a time."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            self._process.kill()

    def count(self, pid: int | None) -> None:
        """A worker has answered a request."""
        if pid:
            self._answered[pid] += 1

    async def watch(self) -> None:
        """Look after the workers for ever."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK)

    def look(self) -> None:
        """Take in which workers are there, and start a renewal if one is due."""
        found = self._board.ready()
        for pid in self._known - found.keys():
            reason = "recycled" if pid in self._leaving else "lost"
            self._metrics.restarts.labels(reason).inc()
            event(log, f"worker {reason}", pid=pid, answered=self._answered.pop(pid, 0))
            self._ground.pop(pid, None)
            with contextlib.suppress(KeyError):
                self._metrics.memory.remove(str(pid))
            self._leaving.discard(pid)
        for pid in found.keys() - self._known:
            modules = found[pid]["modules"]
            event(log, "worker ready", pid=pid, modules=modules)
            if any(device.startswith("gpu") for device in modules.values()):
                self._ground[pid] = resident_bytes(pid)
            for module, device in modules.items():
                self._metrics.device.labels(module, device).set(1)
        self._known = set(found)
        self._lanes.ready = {entry["lane"] for entry in found.values()}
        if found:
            self.devices = _devices(found)
        self.ready = len(found)
        self._metrics.workers.set(self.ready)
        self._metrics.ready.set(self.ready > 0)
        memory = {pid: resident_bytes(pid) for pid in found}
        for pid, size in memory.items():
            self._metrics.memory.labels(str(pid)).set(size)
        if self._renewal is None or self._renewal.done():
            due = [pid for pid, size in memory.items() if self._is_due(pid, size)]
            if due and len(found) == self._settings.workers:
                cause = {
                    "pid": due[0],
                    "bytes": memory[due[0]],
                    "answered": self._answered[due[0]],
                }
                event(log, "worker is renewed", **cause)
                self._renewal = asyncio.ensure_future(self._renew())

    def _is_due(self, pid: int, size: int) -> bool:
        ceiling, requests = self._settings.memory_ceiling * _MEGA, self._settings.max_requests
        return 0 < ceiling < size - self._ground[pid] or 0 < requests <= self._answered[pid]

    async def _renew(self) -> None:
        assert self._process is not None
        before = set(self._known)
        os.kill(self._process.pid, signal.SIGTTIN)
        for _ in range(int(_START_LIMIT / _LOOK)):
            await asyncio.sleep(_LOOK)
            if self._known - before:
                break
        # gunicorn ends its oldest worker.
        self._leaving.update(before)
        os.kill(self._process.pid, signal.SIGTTOU)
        for _ in range(self._settings.graceful_timeout + 10):
            await asyncio.sleep(1)
            if before - self._known:
                break
        self._leaving.clear()
