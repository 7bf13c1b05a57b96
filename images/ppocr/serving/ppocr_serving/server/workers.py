"""gunicorn with its workers, as the front's child: started, watched, renewed one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from ppocr_contract.settings import Settings

from .. import processes
from ..logs import event
from ..supervisor import SERVED
from .oom import OomWatch
from .worker_registry import WorkerRegistry, resident_bytes
from .worker_slots import WorkerSlots, remove_sockets

if TYPE_CHECKING:
    from .metrics import Metrics

log = logging.getLogger(__name__)

_PAUSE = 2.0  # seconds before the next start where no worker was ready
_LOOK = 0.5  # seconds between checks of the workers
_START_LIMIT = 180.0  # seconds a new worker has to become ready
_MEGA = 1_000_000
#: Checks that must find a process stopped (SIGSTOP) before it is killed: two seconds of this
#: process's own time, so that nothing is killed after the machine was suspended.
_STOPPED_LOOKS = 4
_ENDS = {
    "recycled": "worker recycled",
    "memory": "worker killed for memory",
    "lost": "worker lost",
}


def _devices(found: dict[int, dict[str, Any]]) -> dict[str, str]:
    """Where each module's models run: every device its workers have, once."""
    names = {name for entry in found.values() for name in entry["modules"]}
    return {
        name: ", ".join(sorted({entry["modules"].get(name, "") for entry in found.values()} - {""}))
        for name in sorted(names)
    }


def _is_on_card(entry: dict[str, Any]) -> bool:
    return any(device.startswith("gpu") for device in entry["modules"].values())


class Workers:
    """The worker processes.

    A worker that has answered ``max_requests`` or has grown beyond ``memory_ceiling`` is renewed:
    another one is started, and only when that one is ready the oldest is asked to end, which it
    does after its requests in flight. One renewal at a time, so the service never pauses.

    A process that was stopped is killed, since nobody else would notice before the timeout, and
    gunicorn, where it ends after workers were ready, is started anew.
    """

    def __init__(self, settings: Settings, metrics: Metrics, slots: WorkerSlots) -> None:
        self._settings = settings
        self._slots = slots
        self._metrics = metrics
        self._board = WorkerRegistry()
        self._process: asyncio.subprocess.Process | None = None
        self._answered: Counter[int] = Counter()
        #: Bytes a worker on a GPU had when it was ready: CUDA takes gigabytes before any request.
        self._ground: Counter[int] = Counter()
        self._known: set[int] = set()
        self._oom = OomWatch()
        self._stopped: Counter[int] = Counter()
        self._renewal: asyncio.Task[None] | None = None
        self._served = self._stopping = False
        self.devices: dict[str, str] = {}
        self.ready = 0

    async def start(self) -> None:
        """Start gunicorn."""
        self._board.clear()
        await self._start()

    async def _start(self) -> None:
        remove_sockets()
        # A process group of its own: its workers, and what they start, can be ended with it.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ppocr_serving",
            "workers",
            env=processes.environment(),
            start_new_session=True,
        )

    async def ended(self) -> int:
        """Wait until gunicorn ends by itself before any worker is ready; return its status."""
        while True:
            assert self._process is not None
            status = await self._process.wait()
            self._end_group()
            if self._stopping or not (self._served or status == -signal.SIGKILL):
                return status
            event(log, "gunicorn ended: started anew", logging.ERROR, status=status)
            if not self._served:
                await asyncio.sleep(_PAUSE)
                if self._stopping:
                    return status
            self._served = False
            if self._renewal is not None:
                self._renewal.cancel()
            self.look()
            await self._start()

    def _end_group(self) -> None:
        """End what gunicorn left behind."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, seconds: float) -> None:
        """Ask gunicorn to end; kill it and its workers after a time."""
        self._stopping = True
        if self._process is None or self._process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            self._end_group()

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
        """Update the list of workers, and start a replacement if one is due."""
        self._oom.look()
        self._end_stopped()
        found = self._board.ready()
        if len(found) < self._settings.workers and not self._served:
            # Each card has to pass the test before any serves; CPUs are all alike.
            found = {pid: entry for pid, entry in found.items() if not _is_on_card(entry)}
        for pid, in_order in self._board.gone().items():
            killed = "memory" if not in_order and self._oom.explains() else "lost"
            reason = "recycled" if in_order else killed
            level = logging.INFO if reason == "recycled" else logging.ERROR
            self._metrics.restarts.labels(reason).inc()
            event(log, _ENDS[reason], level, pid=pid, answered=self._answered.pop(pid, 0))
            self._ground.pop(pid, None)
            with contextlib.suppress(KeyError):
                self._metrics.memory.remove(str(pid))
        for pid in found.keys() - self._known:
            modules = found[pid]["modules"]
            event(log, "worker ready", pid=pid, modules=modules)
            if _is_on_card(found[pid]):
                self._ground[pid] = resident_bytes(pid)
            for module, device in modules.items():
                self._metrics.device.labels(module, device).set(1)
        self._known = set(found)
        self._slots.ready = {entry["slot"] for entry in found.values()}
        if found:
            self._note_served()
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

    def _note_served(self) -> None:
        """Tell the supervisor, once, that this start went well."""
        if not self._served:
            self._served = True
            with contextlib.suppress(OSError):
                SERVED.touch()

    def _end_stopped(self) -> None:
        """Kill what was sent SIGSTOP and not continued: gunicorn, a worker or what that started."""
        if self._process is None or self._process.returncode is not None:
            return
        below = [self._process.pid, *processes.descendants(self._process.pid)]
        stopped = [pid for pid in below if processes.is_stopped(pid)]
        self._stopped = Counter({pid: self._stopped[pid] + 1 for pid in stopped})
        for pid, looks in self._stopped.items():
            if looks >= _STOPPED_LOOKS:
                event(log, "process is stopped (SIGSTOP): killed", logging.ERROR, pid=pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _is_due(self, pid: int, size: int) -> bool:
        ceiling, requests = self._settings.memory_ceiling * _MEGA, self._settings.max_requests
        return 0 < ceiling < size - self._ground[pid] or 0 < requests <= self._answered[pid]

    async def _renew(self) -> None:
        before = set(self._known)
        self._signal(signal.SIGTTIN)
        for _ in range(int(_START_LIMIT / _LOOK)):
            await asyncio.sleep(_LOOK)
            # One may have been lost and replaced meanwhile: that one is not the additional one.
            if len(self._known) > len(before):
                break
        # gunicorn ends its oldest worker.
        self._signal(signal.SIGTTOU)
        for _ in range(self._settings.graceful_timeout + 10):
            await asyncio.sleep(1)
            if before - self._known:
                break
