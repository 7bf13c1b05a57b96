"""The WSGI guard in front of PaddleHub's app: health, and nothing but what the contract names."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

log = logging.getLogger(__name__)

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Response = Iterable[bytes]


class Guard:
    """Answers ``/livez`` and ``/readyz`` itself, passes ``/`` and ``POST /predict/<module>`` on.

    Args:
        app: PaddleHub's app.
        readiness: what ``/readyz`` shows; its ``ready`` decides between 200 and 503.
    """

    def __init__(self, app: WsgiApp, readiness: Callable[[], dict[str, Any]]) -> None:
        self._app = app
        self._readiness = readiness

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Response:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
        if path == "/livez":
            return _json(start_response, "200 OK", {"live": True})
        if path == "/readyz":
            state = self._readiness()
            status = "200 OK" if state.get("ready") else "503 Service Unavailable"
            return _json(start_response, status, state)
        if path.startswith("/predict/"):
            if method != "POST":
                return _refuse(start_response, "405 Method Not Allowed", "use POST")
            return self._logged(environ, start_response, path)
        if path == "/":
            return self._app(environ, start_response)
        return _refuse(start_response, "404 Not Found", f"no such path {path}")

    def _logged(
        self, environ: dict[str, Any], start_response: Callable[..., Any], path: str
    ) -> Response:
        started = time.monotonic()
        answered = []

        def keep_status(status: str, *rest: Any) -> Any:
            answered.append(status.partition(" ")[0])
            return start_response(status, *rest)

        response = self._app(environ, keep_status)
        log.info("POST %s %s %.0f ms", path, *answered[:1], (time.monotonic() - started) * 1000)
        return response


def _json(start_response: Callable[..., Any], status: str, body: dict[str, Any]) -> Response:
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    start_response(status, headers)
    return [data]


def _refuse(start_response: Callable[..., Any], status: str, message: str) -> Response:
    return _json(start_response, status, {"status": "101", "msg": message, "results": ""})
