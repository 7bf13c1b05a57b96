"""``POST /predict/<module>``: a body is received and decompressed before a worker sees it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from .bodies import BodyError, Structure
from .handlers import Handler, Refusal
from .service import Service
from .unpack import Unpacker, packed
from .upstream import Answer, Busy, TimedOut, WorkerLost

log = logging.getLogger(__name__)

_NICE = 10
#: What stock never answers stays true also with stock_status.
_ALWAYS_TRUE = {401, 403, 404, 405, 408, 503, 504}


def _yield_to_others() -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


#: Where bodies are unpacked: a few bytes can be made to cost much, so it takes what CPU time is
#: left over.
_unpacking = ThreadPoolExecutor(1, "unpacking", _yield_to_others)


def _is_json(content_type: str) -> bool:
    """As Flask has it, without parsing parameters a client may have made up."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


class Predict(Handler):
    """A request for a module.

    Attributes:
        any_type: Content-Type is not looked at.
    """

    methods = ("POST",)
    any_type = False

    def initialize(self, service: Service) -> None:
        super().initialize(service)
        self._parts: list[bytes] = []
        self._held = 0
        self._unpacker: Unpacker | None = None
        self._structure = Structure()
        self._counted = True
        self._answering: asyncio.Future[Answer] | None = None
        service.in_flight.add(self)

    def judge(self) -> Refusal | None:
        return super().judge() or self._judge_type() or self._judge_load()

    def _judge_type(self) -> Refusal | None:
        headers = self.request.headers
        if not (self.any_type or _is_json(headers.get("Content-Type", ""))):
            return 415, "Content-Type must be application/json", "request"
        try:
            if packed(headers.get("Content-Encoding", "")):
                self._unpacker = Unpacker()
        except BodyError as error:
            self.set_header("Accept-Encoding", "gzip")
            return 415, str(error), "request"
        return None

    def _judge_load(self) -> Refusal | None:
        busy = self.service.busy()
        return self.busy(str(busy), busy.retry_after) if busy else None

    async def take(self, chunk: bytes) -> None:
        try:
            if self._unpacker is None:
                self._keep(chunk)
                return
            pieces = self._unpacker.feed(chunk)
            loop = asyncio.get_running_loop()
            while (piece := await loop.run_in_executor(_unpacking, next, pieces, None)) is not None:
                self._keep(piece)
                if self.refusal:
                    return
        except BodyError as error:
            self.give_up((400, str(error), "request"))

    def _keep(self, piece: bytes) -> None:
        if not self._counted:
            return  # the client has left
        if self._held + len(piece) > self.service.settings.body_bytes:
            self.give_up(self.too_large())
        elif not self.service.hold(len(piece)):
            self.give_up(self.busy("the service holds as many requests as it can", 1))
        else:
            self._held += len(piece)
            self._structure.feed(piece)
            self._parts.append(piece)

    def give_up(self, refusal: Refusal) -> None:
        super().give_up(refusal)
        self._drop()

    def _drop(self) -> None:
        self.service.release(self._held)
        self._held = 0
        self._parts = []

    @property
    def module(self) -> str:
        """The module's name, as the client has it."""
        return self.path_args[0] if self.path_args else ""

    @property
    def target(self) -> str:
        """The path of the request to a worker."""
        return f"/predict/{self.module}"

    async def answer(self) -> None:
        try:
            if self._unpacker is not None:
                self._unpacker.end()
        except BodyError as error:
            self.refuse(400, str(error), "request")
            return
        headers = {"Content-Type": "application/json", "X-Request-Id": self.request_id}
        self.fields |= {"module": self.module, "bytes": self._held}
        try:
            # The body is counted for as long as a worker may need it.
            release = functools.partial(self.service.release, self._held)
            self._held = 0
            self._answering = self.service.upstream.ask(self.target, self._parts, headers, release)
            self._parts = []
            answer = await self._answering
        except asyncio.CancelledError:
            if self._counted:
                self.abandon()
        except Busy as busy:
            self.refuse(*self.busy(str(busy), busy.retry_after))
        except TimedOut:
            seconds = self.service.settings.timeout
            self.refuse(504, f"no answer within {seconds} s (hubserving_timeout)", "timeout")
        except WorkerLost:
            self.refuse(500, "the service lost its workers on this request", "worker_lost")
        else:
            if not self.answered:
                self._pass_on(answer)

    def _pass_on(self, answer: Answer) -> None:
        self._note(answer)
        if answer.code == 503:
            self.set_header("Retry-After", "1")
        self.send(answer.code, self.body_of(answer), answer.content_type)

    def body_of(self, answer: Answer) -> bytes:
        """The client's response, made from a worker's."""
        return answer.body

    def client_status(self, code: int) -> int:
        stock = self.service.settings.stock_status and code not in _ALWAYS_TRUE
        return 200 if stock else code

    @property
    def _label(self) -> str:
        """The module in metrics: only those served, since the path is the client's to choose."""
        return self.module if self.module in self.service.modules else "unknown"

    def _note(self, answer: Answer) -> None:
        report = answer.report
        self.service.workers.count(report.get("pid"))
        metrics = self.service.metrics
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
            metrics.images.labels(self._label).inc(report.get("images", 0))
            metrics.lines.labels(self._label).inc(report.get("lines", 0))
        keys = ("images", "unreadable", "lines", "pixels", "seconds")
        self.fields |= {key: report[key] for key in keys if key in report}

    def abandon(self) -> None:
        """The front ends before this request: say so."""
        if not self.answered:
            self.refuse(*self.busy("the service is stopping", 5))

    def _uncount(self) -> None:
        self._drop()
        self._counted = False
        self.service.in_flight.discard(self)

    def on_finish(self) -> None:
        self._uncount()
        metrics = self.service.metrics
        metrics.requests.labels(self._label, str(self.get_status())).inc()
        metrics.duration.labels(self._label).observe(time.monotonic() - self.started)
        metrics.body_bytes.inc(self.size)
        super().on_finish()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._counted:
            self._uncount()
            if self._answering is not None:
                self._answering.cancel()
            self.service.metrics.errors.labels("client_gone").inc()
            self.fields["error"] = "client_gone"
            self.log_request(499)
