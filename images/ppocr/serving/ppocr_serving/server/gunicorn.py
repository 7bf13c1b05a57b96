"""The workers: PaddleHub's app under gunicorn, models loaded in each worker after the fork."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from ..config import ServingConfig
from .guard import Guard, WsgiApp
from .lean import spare_paddle
from .scoreboard import Scoreboard
from .settings import RUN_DIR, Settings
from .signals import take_back
from .watchdog import Watchdog

log = logging.getLogger(__name__)

#: Where the workers listen for the front.
SOCKET = RUN_DIR / "workers.sock"
#: Seconds the master gives beyond the watchdog, which knows which request hangs.
_GRACE = 5


class Server(BaseApplication):
    """gunicorn with the settings of this service."""

    def __init__(self, serving: ServingConfig, settings: Settings) -> None:
        self._serving = serving
        self._settings = settings
        self._board = Scoreboard()
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        for name, value in {
            "bind": f"unix:{SOCKET}",
            "worker_class": "gthread",
            "workers": settings.workers,
            "threads": settings.threads,
            "timeout": settings.timeout + _GRACE,
            "graceful_timeout": settings.graceful_timeout,
            # Each request is one connection from the front, which also decides on renewals.
            "keepalive": 0,
            "max_requests": 0,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - heartbeats belong in memory
            "proc_name": "ppocr",
            "control_socket_disable": True,
            "child_exit": self._child_exit,
            "logger_class": PlainLogger,
        }.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def _child_exit(self, server: Any, worker: Any) -> None:
        self._board.leave(worker.pid)

    def load(self) -> WsgiApp:
        """Called in each worker; the worker takes requests only when this has returned."""
        started = time.monotonic()
        # Where memory runs out, a worker goes, not the front nor gunicorn's master.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")
        if self._serving.needs_paddle:
            take_back()
        else:
            spare_paddle()
        from .app import create

        app, modules = create(self._serving)
        for module in modules:
            module.warm_up()
        # Read now: asking later would wait behind requests in flight.
        devices = {module.name: module.device for module in modules}
        pid = os.getpid()
        watchdog = Watchdog(self._settings.timeout, lambda: self._board.leave(pid))
        self._board.enter(pid, devices)
        log.info("ready in %.1f s: %s", time.monotonic() - started, devices)
        return Guard(app.wsgi_app, watchdog, self._settings.stock_status)


class PlainLogger:
    """What gunicorn logs, through this process's own logging."""

    def __init__(self, cfg: Any) -> None:
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        for name in ("critical", "error", "warning", "info", "debug", "exception", "log"):
            setattr(self, name, getattr(self.error_log, name))

    def access(self, *_: Any) -> None:
        """The front logs requests."""

    def reopen_files(self) -> None:
        return None

    def close_on_exec(self) -> None:
        return None


def serve(serving: ServingConfig, settings: Settings) -> None:
    """Run until SIGTERM."""
    arguments: dict[str, Any] = {"serving": serving, "settings": settings}
    Server(**arguments).run()
