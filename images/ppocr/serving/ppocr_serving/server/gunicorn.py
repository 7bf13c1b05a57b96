"""Runs the app under gunicorn: models are loaded in each worker after the fork."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from gunicorn.app.base import BaseApplication

from ..config import ServingConfig
from .guard import Guard, WsgiApp
from .settings import Settings

log = logging.getLogger(__name__)


class Server(BaseApplication):
    """gunicorn with the settings of this service."""

    def __init__(self, serving: ServingConfig, settings: Settings) -> None:
        self._serving = serving
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        for name, value in {
            "bind": f"0.0.0.0:{self._serving.port}",
            "worker_class": "gthread",
            "workers": settings.workers,
            "threads": settings.threads,
            "timeout": settings.timeout,
            "graceful_timeout": settings.graceful_timeout,
            "max_requests": settings.max_requests,
            # Workers that were started together must not be replaced together.
            "max_requests_jitter": settings.max_requests // 10,
            "backlog": settings.backlog,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - heartbeats belong in memory
            "proc_name": "ppocr",
            "control_socket_disable": True,
        }.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> WsgiApp:
        """Called in each worker; the worker takes requests only when this has returned."""
        from .app import create

        started = time.monotonic()
        app, modules = create(self._serving)
        for module in modules:
            module.warm_up()
        # Read now: asking later would wait behind requests in flight.
        devices = {module.name: module.device for module in modules}
        log.info("ready in %.1f s: %s", time.monotonic() - started, devices)
        state = {"ready": True, "modules": devices, "pid": os.getpid()}
        return Guard(app.wsgi_app, lambda: state)


def serve(serving: ServingConfig, settings: Settings) -> None:
    """Run until SIGTERM."""
    arguments: dict[str, Any] = {"serving": serving, "settings": settings}
    Server(**arguments).run()
