"""The paths of the service, but for ``/predict`` (:mod:`.predict`). No other path exists."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from tornado import httputil, web

from ..logs import event
from .metrics import CONTENT_TYPE
from .responses import ECHO, capped, encode, failure
from .service import Service

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Beyond this multiple of the body limit a refused client's body is not even read and thrown away.
_DISCARD = 4
#: Bytes a second such a body is read at: others need not wait for it.
_DISCARDED = 16_000_000
_CONTRACT_STATUS = {415: "112"}
_FRAMED_NOWHERE = "default-src 'none'; frame-ancestors 'none'"

Refusal = tuple[int, str, str]


@web.stream_request_body
class Handler(web.RequestHandler):
    """What all paths share: request id, access, limits, JSON answers, one log line a request.

    A request is judged by its head alone. What follows is counted as it comes; a body that no
    answer needs is thrown away as it was sent, packed.

    Attributes:
        methods: the path has.
        open_to_all: needs no token.
        health: is answered to this host under any name, and also beyond the bound on connections.
        quiet: good answers are not logged.
        answered: an answer was sent.
    """

    service: Service
    methods: tuple[str, ...] = ("GET", "HEAD")
    open_to_all = health = quiet = False

    def initialize(self, service: Service) -> None:
        self.service = service
        self.started = time.monotonic()
        given = self.request.headers.get("X-Request-Id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex[:16]
        self.fields: dict[str, Any] = {}
        self.path_args: list[str] = []
        self.size = 0  # bytes of the body so far, as sent
        self.refusal: Refusal | None = None
        self.answered = False
        self.set_header("X-Request-Id", self.request_id)

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", _FRAMED_NOWHERE)

    # What a request may do, by its head

    def judge(self) -> Refusal | None:
        """HTTP status, message and kind of error, when the head is enough to refuse a request."""
        access, headers = self.service.access, self.request.headers
        client = self.request.remote_ip or ""
        if not access.from_allowed_network(client):
            return 403, access.NETWORK, "access"
        if not access.by_accepted_name(self.request.host_name, client, self.health):
            return 403, access.HOST, "access"
        if not self.health and not self.request.connection.owner.served:  # type: ignore[union-attr]
            self.set_header("Connection", "close")
            return self.busy("as many clients as can be are connected (hubserving_connections)", 1)
        if not self.open_to_all and not access.has_token(headers.get("Authorization", "")):
            self.set_header("WWW-Authenticate", "Bearer")
            return 401, "a bearer token is needed: Authorization: Bearer <token>", "access"
        if self.request.method not in self.methods:
            self.set_header("Allow", ", ".join(self.methods))
            return 405, f"use {' or '.join(self.methods)}", "method"
        if self.declared > self.service.settings.body_bytes:
            return self.too_large()
        return None

    @property
    def declared(self) -> int:
        """The length the head declares."""
        return int(self.request.headers.get("Content-Length", 0))

    def too_large(self) -> Refusal:
        limit = self.service.settings.body_limit
        return 413, f"the body is larger than {limit} MB (hubserving_body_limit)", "body_size"

    def busy(self, why: str, retry_after: int) -> Refusal:
        self.set_header("Retry-After", str(retry_after))
        return 503, f"{why}; try again in {retry_after} s", "busy"

    def prepare(self) -> None:
        self.request.connection.on_broken = self.broken  # type: ignore[union-attr]
        self.refusal = self.judge()
        most = _DISCARD * self.service.settings.body_bytes
        if self.refusal and (self.declared > most or "Expect" in self.request.headers):
            self.refuse(*self.refusal)
        # Otherwise the client sends its body, and reads the response after that.

    # What follows the head

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self.size += len(chunk)
        limit = self.service.settings.body_bytes
        if self.answered:
            return None
        if not self.refusal and self.size > limit:
            self.give_up(self.too_large())
        if not self.refusal:
            return self.take(chunk)
        if self.size > _DISCARD * limit:
            self.refuse(*self.refusal)
        return asyncio.sleep(len(chunk) / _DISCARDED)

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Receive part of a body; here it is not needed."""
        return None

    def give_up(self, refusal: Refusal) -> None:
        """This request will be refused once it has been received."""
        self.refusal = refusal

    def broken(self, code: int, message: str, kind: str) -> None:
        """No more can be read of the body; one that is refused anyway has no time to be late."""
        refusal = (self.refusal if code == 408 else None) or (code, message, kind)
        self.give_up(refusal)
        self.refuse(*refusal)

    # The answer

    async def answer(self) -> None:
        """Answer a request that has come in whole."""
        raise NotImplementedError

    async def _reply(self, *path: str) -> None:
        if self.refusal:
            self.refuse(*self.refusal)
        else:
            await self.answer()

    get = head = post = put = delete = patch = options = _reply  # type: ignore[assignment]

    def send(self, code: int, body: bytes, content_type: str = "application/json") -> None:
        self.answered = True
        self.set_status(code)
        self.set_header("Content-Type", content_type)
        self.finish(body)

    def finish(self, chunk: Any = None) -> asyncio.Future[None]:
        """Send an answer; Tornado calls it without one when a method has ended without."""
        if self.answered:
            return super().finish(chunk)
        # The client has left: only an explicit response is sent, never one at the end of a method.
        nothing = asyncio.get_running_loop().create_future()
        nothing.set_result(None)
        return nothing

    def send_json(self, code: int, body: dict[str, Any]) -> None:
        self.send(code, encode(body))

    def refuse(self, code: int, message: str, kind: str) -> None:
        """Answer an error in the contract's shape, unless there was an answer already."""
        if self.answered:
            return
        self.service.metrics.errors.labels(kind).inc()
        self.fields |= {"error": kind, "reason": capped(message, 2 * ECHO)}
        self.send_json(self.client_status(code), self.failure(message, code))

    def failure(self, message: str, code: int) -> dict[str, Any]:
        """The response to an error with this HTTP status."""
        return failure(message, _CONTRACT_STATUS.get(code, "101"))

    def client_status(self, code: int) -> int:
        """The HTTP status the client gets."""
        return code

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        # Only what Tornado itself refuses or a bug comes here: reveal no more than its name.
        self.set_header("X-Request-Id", self.request_id)
        self.fields["error"] = "internal" if status_code >= 500 else "http"
        self.service.metrics.errors.labels(self.fields["error"]).inc()
        self.send_json(status_code, self.failure(HTTPStatus(status_code).phrase, status_code))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, web.HTTPError | httputil.HTTPInputError):
            log.error("the front failed on request %s", self.request_id, exc_info=(typ, value, tb))

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
            path=capped(self.request.path),
            code=code,
            ms=round((time.monotonic() - self.started) * 1000, 1),
            **self.fields,
        )

    def on_finish(self) -> None:
        self.log_request(self.get_status())


class Live(Handler):
    """The process answers."""

    open_to_all = health = quiet = True

    async def answer(self) -> None:
        self.send_json(200, {"live": True})


class Ready(Handler):
    """Requests would be answered."""

    open_to_all = health = quiet = True

    async def answer(self) -> None:
        state = self.service.state()
        self.send_json(200 if state["ready"] else 503, state)


class MetricsPage(Handler):
    """For Prometheus."""

    quiet = True

    async def answer(self) -> None:
        self.send(200, self.service.metrics.text(), CONTENT_TYPE)


class Page(Handler):
    """The page for people; it asks for the token by itself."""

    open_to_all = quiet = True

    async def answer(self) -> None:
        self.set_header(
            "Content-Security-Policy",
            f"{_FRAMED_NOWHERE}; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
            "img-src 'self' blob: data:; connect-src 'self'; form-action 'none'; base-uri 'none'",
        )
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Cache-Control", "no-cache")
        self.send(200, self.service.page, "text/html; charset=utf-8")


class Unknown(Handler):
    """Everything else."""

    methods = web.RequestHandler.SUPPORTED_METHODS

    def judge(self) -> Refusal | None:
        return super().judge() or (404, "no such path: POST /predict/<module>", "path")
