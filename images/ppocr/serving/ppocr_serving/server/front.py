"""The front: receives requests completely and within limits, then passes them to a worker.

Tornado, since it has deadlines for heads and bodies, streams bodies to be counted as they come,
speaks TLS, and needs nothing else. One process, one thread: what takes time is done by the workers
(:mod:`.gunicorn`), which it starts and watches.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl

from tornado import web

from ppocr_contract import pdserving
from ppocr_contract.config import ServingConfig
from ppocr_contract.settings import Settings, SettingsError

from ..logs import event
from . import handlers
from .gpu_watch import GpuWatch
from .listener import Listener
from .predict import Predict
from .prediction import Prediction
from .service import Service

log = logging.getLogger(__name__)

_MODULE_PATH = r"/predict/([A-Za-z0-9_.-]{1,100})"
_GPU_LOOK = 5.0  # seconds between checks of the cards' device nodes


class Front:
    """The service on its port."""

    def __init__(self, serving: ServingConfig, settings: Settings) -> None:
        self._service = Service(serving, settings)
        self._settings = settings
        self._port = serving.port

    async def _watch_gpu(self, gpu: GpuWatch) -> None:
        """Watch the cards for ever; a driver that hangs must not block the front."""
        while True:
            before = gpu.problem
            if await asyncio.to_thread(gpu.look) and not before:
                event(log, gpu.problem, logging.ERROR)
            await asyncio.sleep(_GPU_LOOK)

    def _application(self) -> web.Application:
        shared = {"service": self._service}
        others = [(pdserving.PATH, Prediction, shared)] if self._settings.pdserving else []
        return web.Application(
            [
                ("/livez", handlers.Live, shared),
                ("/readyz", handlers.Ready, shared),
                ("/metrics", handlers.MetricsPage, shared),
                ("/", handlers.Page, shared),
                (_MODULE_PATH, Predict, shared),
                *others,
            ],
            default_handler_class=handlers.Unknown,
            default_handler_args=shared,
            log_function=lambda handler: None,
        )

    def _tls(self) -> ssl.SSLContext | None:
        if not self._settings.tls_cert:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self._settings.tls_cert, self._settings.tls_key)
        except OSError as error:
            raise SettingsError(f"PPOCR_TLS_CERT, PPOCR_TLS_KEY: {error}") from error
        return context

    async def run(self) -> int:
        """Serve until SIGTERM; return the exit status."""
        service, settings = self._service, self._settings
        listener = Listener(
            self._application(), settings, service.access, service.metrics, self._tls()
        )
        listener.listen(self._port)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stopping.set)
        service.not_ready.clear()
        await service.workers.start()
        watching = loop.create_task(service.workers.watch())
        ended = loop.create_task(service.workers.ended())
        stopping = loop.create_task(service.stopping.wait())
        needed = {ended, stopping, watching}
        if service.gpu:
            needed.add(loop.create_task(self._watch_gpu(service.gpu)))
        await asyncio.wait(needed, return_when=asyncio.FIRST_COMPLETED)
        if not service.stopping.is_set():
            log.error("the workers ended by themselves; the cause is logged above")
            await self._drain(listener, 0)
            return ended.result() or 1 if ended.done() else 1
        await self._drain(listener, settings.graceful_timeout)
        watching.cancel()
        await service.workers.stop(settings.graceful_timeout)
        return 0

    async def _drain(self, listener: Listener, seconds: float) -> None:
        """Accept no new connection; let requests in flight finish, and answer those that cannot."""
        listener.stop()
        event(log, "stopping", in_flight=len(self._service.in_flight))
        deadline = asyncio.get_running_loop().time() + seconds
        # A request is no longer in flight once it has its answer, which a client may take slowly.
        while self._service.in_flight or listener.answering:
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(0.05)
        if unfinished := list(self._service.in_flight):
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
        SettingsError: a certificate, the token file or the port cannot be used.
    """

    async def main() -> int:
        return await Front(serving, settings).run()

    return asyncio.run(main())
