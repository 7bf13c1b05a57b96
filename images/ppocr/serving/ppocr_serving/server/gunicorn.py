"""The workers: PaddleHub's app under gunicorn, models loaded in each worker after the fork.

What of gunicorn and PaddleHub is private is listed in tests/image/test_private_parts.py.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from ppocr_contract.config import ServingConfig
from ppocr_contract.settings import Settings

from ..engines import EngineError
from ..processes import end_before_others, end_with_parent
from .loading import load_app
from .middleware import Middleware, WsgiApp
from .not_ready import NotReady
from .watchdog import Watchdog
from .worker_registry import WorkerRegistry
from .worker_slots import Assignment, cards_of_slots, socket_of

log = logging.getLogger(__name__)

#: Seconds the master gives beyond the watchdog, which knows which request hangs.
_GRACE = 5
#: gunicorn gives up when a worker ends with this status, and starts another one after any other.
_HALT = 3
#: Seconds before the next try where a card that has served before cannot be loaded again.
_PAUSE = 5


class Server(BaseApplication):
    """gunicorn with the settings of this service."""

    def __init__(self, serving: ServingConfig, settings: Settings) -> None:
        self._serving = serving
        self._settings = settings
        self._board = WorkerRegistry()
        self._not_ready = NotReady()
        self._slots = cards_of_slots(serving, settings)
        self._assignment = Assignment(self._slots)
        self._master = os.getpid()
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        for name, value in {
            "bind": [f"unix:{socket_of(slot)}" for slot in range(len(self._slots))],
            "worker_class": "gthread",
            "workers": len(self._slots),
            "threads": settings.threads,
            "timeout": settings.timeout + _GRACE,
            "graceful_timeout": settings.graceful_timeout,
            # Each request is one connection from the front, which also decides on renewals.
            "keepalive": 0,
            "max_requests": 0,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - heartbeats belong in memory
            "proc_name": "ppocr",
            "control_socket_disable": True,
            "pre_fork": self._assignment.before_fork,
            "post_fork": self._after_fork,
            "worker_exit": self._worker_exit,
            "child_exit": self._child_exit,
            "logger_class": PlainLogger,
        }.items():
            self.cfg.set(name, value)

    def _worker_exit(self, server: Any, worker: Any) -> None:
        if os.getpid() == self._master:  # which calls it, too, for one that it finds gone
            self._assignment.after_exit(worker)
            return
        error = sys.exc_info()[1]  # which ends this process
        if isinstance(error, SystemExit) and not error.code:
            self._board.mark_leaving(worker.pid)

    def _child_exit(self, server: Any, worker: Any) -> None:
        self._assignment.after_exit(worker)
        self._board.leave(worker.pid)

    def _after_fork(self, server: Any, worker: Any) -> None:
        end_with_parent(self._master)
        end_before_others(500)  # not the front, nor gunicorn's master
        self._assignment.after_fork()

    def _end(self, error: EngineError) -> NoReturn:
        """This worker cannot use its device: report why in ``/readyz`` and in the log."""
        log.error("%s", error)
        first = self._not_ready.write(str(error))
        if self._assignment.first:
            # One is enough: a second one would meet gunicorn on its way out, and upset it.
            raise SystemExit(_HALT if first else 1)
        # It worked before, and other cards may serve on: gunicorn tries again.
        time.sleep(_PAUSE)
        raise SystemExit(1)

    def _device_lost(self, error: Exception) -> None:
        """After the current response this worker ends, and gunicorn starts another one."""
        log.error("%s", error)
        self._not_ready.write(str(error))
        self._board.leave(os.getpid())
        os.kill(os.getpid(), signal.SIGTERM)

    def load(self) -> WsgiApp:
        """Called in each worker; the worker takes requests only when this has returned."""
        try:
            return self._load()
        except EngineError as error:
            self._end(error)
        except Exception as error:
            # gunicorn ends with this worker, and logs the traceback.
            self._not_ready.write(f"a worker cannot start: {type(error).__name__}: {error}")
            raise

    def _load(self) -> WsgiApp:
        started = time.monotonic()
        app, modules = load_app(self._serving)
        # Read now: asking later would wait behind requests in flight.
        devices = {module.name: module.device for module in modules}
        pid = os.getpid()
        watchdog = Watchdog(self._settings.timeout, lambda: self._board.leave(pid))
        self._board.enter(pid, self._assignment.slot, devices)
        self._not_ready.clear()
        log.info("ready in %.1f s: %s", time.monotonic() - started, devices)
        stock_status = self._settings.stock_status
        return _but_deserted(Middleware(app.wsgi_app, watchdog, stock_status, self._device_lost))


def _but_deserted(app: WsgiApp) -> WsgiApp:
    """Do not process a request that the front has sent to another slot by now, while it waited in
    this one's socket for a worker."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        poll = select.poll()
        poll.register(environ["gunicorn.socket"], 0)
        if any(flags & select.POLLHUP for _, flags in poll.poll(0)):
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return []
        return app(environ, start_response)

    return answer


class PlainLogger(Logger):
    """What gunicorn logs, through this process's own logging."""

    def setup(self, cfg: Any) -> None:
        self.error_log.propagate = True

    def access(self, *_: Any) -> None:
        """The front logs requests."""


def serve(serving: ServingConfig, settings: Settings) -> None:
    """Run until SIGTERM."""
    arguments: dict[str, Any] = {"serving": serving, "settings": settings}
    Server(**arguments).run()
