"""The front: takes requests in, whole and within limits, before a worker is given one.

Tornado, since it has deadlines for heads and bodies, streams bodies to be counted as they come,
speaks TLS, and needs nothing else. One process, one thread: what takes time is done by the workers
(:mod:`.gunicorn`), which it starts and watches.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
from pathlib import Path
from typing import Any

from tornado import web

from ..config import ServingConfig
from ..logs import event
from ..supervisor import AGAIN
from . import handlers
from .access import Access
from .gpuwatch import GpuWatch
from .lanes import Lanes
from .listener import Listener
from .metrics import Metrics
from .predict import Predict
from .settings import Settings, SettingsError
from .trouble import Trouble
from .upstream import Busy, Upstream
from .workers import Workers

log = logging.getLogger(__name__)

_MODULE_PATH = r"/predict/([A-Za-z0-9_.-]{1,100})"
_STARTING = "the service is starting"
_STARTING_RETRY = 5
_GPU_LOOK = 5.0  # seconds between looks at the cards' device nodes


class Front:
    """The service as its clients see it."""

    def __init__(self, serving: ServingConfig, settings: Settings) -> None:
        self.settings = settings
        self.modules = frozenset(serving.modules)
        self._port = serving.port
        self.access = Access(settings)
        self.metrics = Metrics()
        lanes = Lanes(settings.workers)
        self.workers = Workers(settings, self.metrics, lanes)
        self.upstream = Upstream(lanes, settings, self.metrics, self.has_worker)
        self._trouble = Trouble()
        self._gpu = GpuWatch() if serving.uses_gpu else None
        self.page = Path(__file__).with_name("page.html").read_bytes()
        self.in_flight: set[Predict] = set()
        self._held = 0
        self._stopping = asyncio.Event()
        # One that follows a front that had been ready: requests wait for its first worker.
        self._was_ready = bool(os.environ.get(AGAIN))

    def has_worker(self) -> bool:
        """Whether a worker is ready."""
        return self.workers.ready > 0

    def state(self) -> dict[str, Any]:
        """What ``/readyz`` shows: ``reason`` says why it is not ready, ``degraded`` what is amiss
        though it is."""
        trouble = self._trouble.read()
        reason = ""
        if self._stopping.is_set():
            reason = "the service is stopping"
        elif self._gpu and self._gpu.problem:
            reason = self._gpu.problem
        elif not self.workers.ready:
            served = bool(self.workers.devices)
            reason = trouble or ("no worker is ready" if served else _STARTING)
        return {
            "ready": not reason,
            "modules": self.workers.devices,
            "workers": self.workers.ready,
            **({"reason": reason} if reason else {"degraded": trouble} if trouble else {}),
        }

    async def _watch_gpu(self, gpu: GpuWatch) -> None:
        """Look at the cards for ever; a driver that hangs must not hold up the front."""
        while True:
            before = gpu.problem
            if await asyncio.to_thread(gpu.look) and not before:
                event(log, gpu.problem, logging.ERROR)
            await asyncio.sleep(_GPU_LOOK)

    def busy(self) -> Busy | None:
        """Why no further request can be taken in now."""
        if self._stopping.is_set():
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

    def _application(self) -> web.Application:
        shared = {"front": self}
        return web.Application(
            [
                ("/livez", handlers.Live, shared),
                ("/readyz", handlers.Ready, shared),
                ("/metrics", handlers.MetricsPage, shared),
                ("/", handlers.Page, shared),
                (_MODULE_PATH, Predict, shared),
            ],
            default_handler_class=handlers.Unknown,
            default_handler_args=shared,
            log_function=lambda handler: None,
        )

    def _tls(self) -> ssl.SSLContext | None:
        if not self.settings.tls_cert:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.settings.tls_cert, self.settings.tls_key)
        except OSError as error:
            raise SettingsError(f"PPOCR_TLS_CERT, PPOCR_TLS_KEY: {error}") from error
        return context

    async def run(self) -> int:
        """Serve until SIGTERM; return the exit status."""
        settings = self.settings
        listener = Listener(self._application(), settings, self.access, self.metrics, self._tls())
        listener.listen(self._port)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self._trouble.clear()
        await self.workers.start()
        watching = loop.create_task(self.workers.watch())
        ended = loop.create_task(self.workers.ended())
        stopping = loop.create_task(self._stopping.wait())
        needed = {ended, stopping, watching}
        if self._gpu:
            needed.add(loop.create_task(self._watch_gpu(self._gpu)))
        await asyncio.wait(needed, return_when=asyncio.FIRST_COMPLETED)
        if not self._stopping.is_set():
            log.error("the workers ended by themselves; the cause is logged above")
            await self._drain(listener, 0)
            return ended.result() or 1 if ended.done() else 1
        await self._drain(listener, settings.graceful_timeout)
        watching.cancel()
        await self.workers.stop(settings.graceful_timeout)
        return 0

    async def _drain(self, listener: Listener, seconds: float) -> None:
        """Take no new connection; let requests in flight finish, and tell those that cannot."""
        listener.stop()
        event(log, "stopping", in_flight=len(self.in_flight))
        deadline = asyncio.get_running_loop().time() + seconds
        while self.in_flight and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        if unfinished := list(self.in_flight):
            event(
                log,
                "stopped before these requests finished",
                logging.ERROR,
                requests=len(unfinished),
            )
            for request in unfinished:
                request.abandon()
        await asyncio.sleep(0.05)  # the last answers leave


def serve(serving: ServingConfig, settings: Settings) -> int:
    """Run until SIGTERM; return the exit status.

    Raises:
        SettingsError: a certificate or the token file cannot be used.
    """

    async def main() -> int:
        return await Front(serving, settings).run()

    return asyncio.run(main())
