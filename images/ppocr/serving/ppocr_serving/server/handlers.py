"""The paths of the service. No other path exists."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tornado import web

from ..logs import event
from .metrics import CONTENT_TYPE
from .upstream import Answer, Busy, TimedOut, WorkerLost

if TYPE_CHECKING:
    from .front import Front

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Beyond this multiple of the body limit a refused client's body is not even read and thrown away.
_DISCARD = 4
#: What stock never answers stays true also with stock_status.
_ALWAYS_TRUE = {401, 403, 404, 405, 503, 504}
_CONTRACT_STATUS = {415: "112"}


class Handler(web.RequestHandler):
    """What all paths share: request id, access, JSON answers, one log line a request."""

    front: Front
    open_to_all = False
    quiet = False

    def initialize(self, front: Front) -> None:
        self.front = front
        self.started = time.monotonic()
        given = self.request.headers.get("X-Request-Id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex[:16]
        self.set_header("X-Request-Id", self.request_id)
        self.fields: dict[str, Any] = {}

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")

    def denied(self) -> tuple[int, str] | None:
        """HTTP status and reason when this client may not ask."""
        address = self.request.remote_ip or ""
        if not self.front.access.from_allowed_network(address):
            return 403, "this network is not allowed (hubserving_allow_networks)"
        token = self.request.headers.get("Authorization", "")
        if not self.open_to_all and not self.front.access.has_token(token):
            self.set_header("WWW-Authenticate", "Bearer")
            return 401, "a bearer token is needed: Authorization: Bearer <token>"
        return None

    def prepare(self) -> None:
        denied = self.denied()
        if denied:
            self.refuse(*denied, kind="access")

    def send(self, code: int, body: bytes, content_type: str = "application/json") -> None:
        self.set_status(code)
        self.set_header("Content-Type", content_type)
        self.finish(body)

    def send_json(self, code: int, body: dict[str, Any]) -> None:
        self.send(code, json.dumps(body, ensure_ascii=False).encode())

    def refuse(self, code: int, message: str, kind: str) -> None:
        """Answer an error in the contract's shape."""
        self.front.metrics.errors.labels(kind).inc()
        self.fields |= {"error": kind, "reason": message}
        status = _CONTRACT_STATUS.get(code, "101")
        self.send_json(self.told(code), {"status": status, "msg": message, "results": ""})

    def told(self, code: int) -> int:
        return code

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        # Only what Tornado itself refuses or a fault of ours comes here: say no more than its name.
        phrase = HTTPStatus(status_code).phrase
        self.send_json(status_code, {"status": "101", "msg": phrase, "results": ""})

    def log_request(self, code: int) -> None:
        """One line a request; never what is in an image."""
        if self.quiet and code in (200, 304, 503):
            return
        event(
            log,
            "request",
            id=self.request_id,
            client=self.request.remote_ip,
            method=self.request.method,
            path=self.request.path[:200],
            code=code,
            ms=round((time.monotonic() - self.started) * 1000, 1),
            **self.fields,
        )

    def on_finish(self) -> None:
        self.log_request(self.get_status())


class Live(Handler):
    """The process answers."""

    open_to_all = quiet = True

    def get(self) -> None:
        self.send_json(200, {"live": True})

    head = get


class Ready(Handler):
    """Requests would be answered."""

    open_to_all = quiet = True

    def get(self) -> None:
        state = self.front.state()
        self.send_json(200 if state["ready"] else 503, state)

    head = get


class MetricsPage(Handler):
    """For Prometheus."""

    quiet = True

    def get(self) -> None:
        self.send(200, self.front.metrics.text(), CONTENT_TYPE)


class Page(Handler):
    """The page for people; it asks for the token by itself."""

    open_to_all = quiet = True

    def get(self) -> None:
        self.set_header(
            "Content-Security-Policy",
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
            "img-src 'self' blob: data:; connect-src 'self'; form-action 'none'; base-uri 'none'",
        )
        self.set_header("Cache-Control", "no-cache")
        self.send(200, self.front.page, "text/html; charset=utf-8")

    head = get


class Unknown(Handler):
    """Everything else."""

    def prepare(self) -> None:
        super().prepare()
        if not self._finished:
            self.refuse(404, "no such path: POST /predict/<module>", kind="path")


@web.stream_request_body
class Predict(Handler):
    """``POST /predict/<module>``: the whole body is taken in here before a worker sees it."""

    def initialize(self, front: Front) -> None:
        super().initialize(front)
        self._parts: list[bytes] = []
        self._size = 0
        self._held = 0
        self._refusal: Callable[[], None] | None = None
        self._counted = False
        self._answering: asyncio.Future[Answer] | None = None

    def prepare(self) -> None:
        self._counted = True
        self.front.active += 1
        limit = self.front.settings.body_bytes
        declared = int(self.request.headers.get("Content-Length") or 0)
        denied = self.denied()
        if denied:
            self._later(*denied, kind="access")
        elif self.request.method != "POST":
            self.set_header("Allow", "POST")
            self._later(405, "use POST", kind="method")
        elif declared > limit:
            self._too_large()
        elif busy := self.front.busy():
            self._busy(busy)
        if self._refusal and (
            declared > _DISCARD * limit or "Expect" in self.request.headers or not self._has_body()
        ):
            self._refusal()

    def _has_body(self) -> bool:
        headers = self.request.headers
        return bool(int(headers.get("Content-Length") or 0)) or "Transfer-Encoding" in headers

    def _later(self, code: int, message: str, kind: str) -> None:
        # Answered when the client has sent its body, which is thrown away: a client that is still
        # sending would meet a closed connection instead of the answer.
        self._drop()
        if self._refusal is None:
            self._refusal = lambda: self.refuse(code, message, kind)

    def _too_large(self) -> None:
        limit = self.front.settings.body_limit
        self._later(
            413, f"the body is larger than {limit} MB (hubserving_body_limit)", kind="body_size"
        )

    def _busy(self, busy: Busy) -> None:
        self.set_header("Retry-After", str(busy.retry_after))
        self._later(503, f"{busy}; try again in {busy.retry_after} s", kind="busy")

    def data_received(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > _DISCARD * self.front.settings.body_bytes:
            self.request.connection.stream.close()  # type: ignore[attr-defined]
        elif self._refusal:
            return
        elif self._size > self.front.settings.body_bytes:
            self._too_large()
        elif not self.front.hold(len(chunk)):
            self._busy(Busy("the service holds as many requests as it can", 1))
        else:
            self._held += len(chunk)
            self._parts.append(chunk)

    def _drop(self) -> None:
        self.front.release(self._held)
        self._held = 0
        self._parts = []

    async def post(self, module: str) -> None:
        if self._refusal:
            self._refusal()
            return
        headers = {
            "Content-Type": self.request.headers.get("Content-Type", "")
            .encode("ascii", "ignore")
            .decode(),
            "X-Request-Id": self.request_id,
        }
        self.fields |= {"module": module, "bytes": self._size}
        try:
            self._answering = asyncio.ensure_future(
                self.front.upstream.ask(f"/predict/{module}", self._parts, headers)
            )
            answer = await self._answering
        except asyncio.CancelledError:
            return  # the client left while its request waited
        except Busy as busy:
            self._busy(busy)
            self.refuse(503, f"{busy}; try again in {busy.retry_after} s", kind="busy")
        except TimedOut:
            seconds = self.front.settings.timeout
            self.refuse(504, f"no answer within {seconds} s (hubserving_timeout)", kind="timeout")
        except WorkerLost:
            self.refuse(500, "the service lost its workers on this request", kind="worker_lost")
        else:
            self._note(module, answer)
            self.send(answer.code, answer.body, answer.content_type)

    async def _other(self, module: str) -> None:
        if self._refusal:
            self._refusal()

    get = head = put = delete = patch = options = _other  # type: ignore[assignment]

    def _note(self, module: str, answer: Answer) -> None:
        report = answer.report
        self.front.workers.count(report.get("pid"))
        metrics = self.front.metrics
        if report.get("kind"):
            metrics.errors.labels(report["kind"]).inc()
            self.fields["error"] = report["kind"]
        seconds = report.get("seconds", {})
        for stage, took in seconds.items():
            metrics.stages.labels(stage).observe(took)
        if seconds:
            timings = (f"{stage};dur={took * 1000:.1f}" for stage, took in seconds.items())
            self.set_header("Server-Timing", ", ".join(timings))
        if answer.code == 200:
            metrics.images.labels(module).inc(report.get("images", 0))
            metrics.lines.labels(module).inc(report.get("lines", 0))
        keys = ("images", "unreadable", "lines", "pixels", "seconds")
        self.fields |= {key: report[key] for key in keys if key in report}

    def told(self, code: int) -> int:
        stock = self.front.settings.stock_status and code not in _ALWAYS_TRUE
        return 200 if stock else code

    def _uncount(self) -> None:
        self._drop()
        if self._counted:
            self._counted = False
            self.front.active -= 1

    def on_finish(self) -> None:
        self._uncount()
        metrics = self.front.metrics
        # Only modules that are served become label values: the path is the client's to choose.
        module = self.path_args[0] if self.path_args else ""
        module = module if module in self.front.modules else "unknown"
        metrics.requests.labels(module, str(self.get_status())).inc()
        metrics.duration.labels(module).observe(time.monotonic() - self.started)
        metrics.body_bytes.inc(self._size)
        super().on_finish()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._counted:
            self._uncount()
            if self._answering is not None:
                self._answering.cancel()
            self.front.metrics.errors.labels("client_gone").inc()
            self.fields["error"] = "client_gone"
            self.log_request(499)
