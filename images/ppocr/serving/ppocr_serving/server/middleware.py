"""The WSGI middleware around PaddleHub's app in a worker.

It sets the HTTP status that fits the response, hides internal errors from clients, and passes what
was recorded of the request to the front, in a header that the front removes.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from ..gpu import DeviceLost
from ..logs import event
from ..report import Report, RequestError, of_request
from .responses import MESSAGE, capped, encode, failure
from .watchdog import Watchdog

log = logging.getLogger(__name__)

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
REPORT_HEADER = "X-Ppocr-Report"


class Middleware:
    """Wraps PaddleHub's app.

    Args:
        app: PaddleHub's app.
        watchdog: ends this process when a request hangs.
        stock_status: answer errors as stock does: HTTP 200, and no image is an error.
        device_lost: told when a request met a card that failed.
    """

    def __init__(
        self,
        app: WsgiApp,
        watchdog: Watchdog,
        stock_status: bool,
        device_lost: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._app = app
        self._watchdog = watchdog
        self._stock_status = stock_status
        self._device_lost = device_lost

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        request_id = environ.get("HTTP_X_REQUEST_ID", "")
        answered: list[tuple[int, list[tuple[str, str]]]] = []

        def keep(status: str, headers: list[tuple[str, str]], *rest: Any) -> None:
            answered.append((int(status.partition(" ")[0]), headers))

        with of_request() as report, self._watchdog.watching(request_id):
            try:
                body = self._body(environ, keep)
                code, headers = answered[-1]
                code, body, kind = self._judge(code, body, report, request_id)
            except Exception:
                log.exception("no answer to request %s", request_id)
                headers = [("Content-Type", "application/json")]
                code, body, kind = 500, encode(failure(_failed(request_id))), "internal"
        if isinstance(report.problem, DeviceLost):
            self._device_lost(report.problem)
        kept = [(k, v) for k, v in headers if k.lower() != "content-length"]
        start_response(
            f"{code} {HTTPStatus(code).phrase}",
            [*kept, ("Content-Length", str(len(body))), (REPORT_HEADER, _summary(report, kind))],
        )
        return [body]

    def _body(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> bytes:
        parts = self._app(environ, start_response)
        try:
            return b"".join(parts)
        finally:
            getattr(parts, "close", lambda: None)()

    def _judge(
        self, code: int, body: bytes, report: Report, request_id: str
    ) -> tuple[int, bytes, str]:
        """HTTP status, body and kind of error (empty for none) to answer with."""
        failed = report.images > 0 and len(report.unreadable) == report.images
        plain = not (report.unreadable or report.notes or report.pages)
        if code == 200 and plain and body.find(b'"status":"000"') >= 0:
            return 200, body, ""
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):  # an error page of Flask's
            phrase = HTTPStatus(code).phrase if code >= 400 else _failed(request_id)
            code = code if code >= 400 else 500
            return code, encode(failure(phrase)), "http" if code < 500 else "internal"
        status, kind = str(answer.get("status")), ""
        if status == "000":
            if not self._stock_status:
                # Their places in results stay as the contract has them; msg says why.
                told = [*report.unreadable.items(), *report.notes.items()]
                answer["msg"] = "; ".join(f"{name}: {why}" for name, why in told)
                if failed:
                    answer["status"] = "101"
                    code = max(why.http for why in report.unreadable.values())
            kind = next(iter(report.unreadable.values())).kind if failed else ""
            if report.pages:
                answer["pages"] = report.pages
        elif status == "111":
            code, kind = 404, "module"
        elif isinstance(report.problem, RequestError):
            code, kind = report.problem.http, report.problem.kind
        elif code < 400:
            event(
                log,
                "request failed",
                logging.ERROR,
                request=request_id,
                error=capped(answer.get("msg"), MESSAGE),
            )
            answer["msg"] = _failed(request_id)
            code, kind = 500, "internal"
        else:
            kind = "request"
        code = 200 if self._stock_status and code != HTTPStatus.SERVICE_UNAVAILABLE else code
        # Messages repeat what the client sent.
        answer["msg"] = capped(answer.get("msg", ""), MESSAGE)
        return code, encode(answer), kind


def _failed(request_id: str) -> str:
    return f"the service failed on this request; its log has more (request {request_id})"


def _summary(report: Report, kind: str) -> str:
    return json.dumps(
        {
            "pid": os.getpid(),
            "kind": kind,
            "images": report.images,
            "unreadable": len(report.unreadable),
            "lines": report.lines,
            "pixels": report.pixels,
            "seconds": {stage: round(value, 4) for stage, value in report.seconds.items()},
        }
    )
