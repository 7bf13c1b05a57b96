"""Passes requests from the front to a worker: bounded queue, deadline, retry on a lost worker."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http
import json
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import h11

from ppocr_contract.settings import Settings

from .middleware import REPORT_HEADER
from .worker_slots import WorkerSlots, socket_of

if TYPE_CHECKING:
    from .metrics import Metrics

#: Seconds a request waits for a worker when there is none.
_START_LIMIT = 180.0
_TICK = 0.25
_MEAN_WEIGHT = 0.1
#: Workers that may end while they are busy with one request: it may be what ends them.
_LOSSES = 3
_HEAD_BYTES = 1 << 20
_BLOCK = 1 << 18


class Busy(Exception):
    """The queue is full, or the service is starting or stopping; ``retry_after`` in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TimedOut(Exception):
    """The worker did not answer in time."""


class WorkerLost(Exception):
    """Workers ended while they were busy with this request."""


class _Deserted(Exception):
    """The worker had gone before it took the request, and another slot has one."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """A worker's answer: HTTP status, body, Content-Type, and what it noted (see middleware)."""

    code: int
    body: bytes
    content_type: str
    report: dict[str, Any]


class Upstream:
    """Gives requests to the workers behind their sockets, as many at once as they have threads."""

    def __init__(
        self,
        slots: WorkerSlots,
        settings: Settings,
        metrics: Metrics,
        has_worker: Callable[[], bool],
    ) -> None:
        self._slots = slots
        self._has_worker = has_worker
        self._again = asyncio.Lock()
        self._settings = settings
        self._metrics = metrics
        self._places = settings.workers * settings.threads
        self._free = asyncio.Semaphore(self._places)
        self._waiting = 0
        self._mean = 0.5

    @property
    def full(self) -> bool:
        return self._waiting >= self._settings.queue

    def refusal(self) -> Busy:
        """The error for a request that finds the queue full, with an estimate of when to retry."""
        wait = math.ceil(self._mean * (self._waiting + 1) / self._places)
        return Busy("the queue is full", min(max(wait, 1), 60))

    @contextlib.contextmanager
    def _queued(self) -> Iterator[None]:
        self._waiting += 1
        self._metrics.waiting.inc()
        try:
            yield
        finally:
            self._waiting -= 1
            self._metrics.waiting.dec()

    def ask(
        self, path: str, body: list[bytes], headers: dict[str, str], done: Callable[[], None]
    ) -> asyncio.Future[Answer]:
        """Wait for a place, then for the answer; cancelled, it gives up the place in the queue.

        The future may raise Busy (the queue is full), TimedOut or WorkerLost (the worker hung, or
        died more than once).

        Args:
            path, body, headers: what to POST.
            done: called once the body is not needed any more.
        """
        begun: list[asyncio.Future[Answer]] = []

        async def asked() -> Answer:
            if not self._free.locked():
                await self._free.acquire()
            elif self.full:
                raise self.refusal()
            else:
                with self._queued():
                    await self._free.acquire()
            # The exchange goes on when the client leaves: the worker works on it all the same.
            begun.append(asyncio.ensure_future(self._tries(path, body, headers)))
            begun[0].add_done_callback(self._done)
            begun[0].add_done_callback(lambda _: done())
            return await asyncio.shield(begun[0])

        answering = asyncio.ensure_future(asked())
        answering.add_done_callback(lambda _: None if begun else done())
        return answering

    def _done(self, exchange: asyncio.Future[Answer]) -> None:
        self._free.release()
        if not exchange.cancelled():
            exchange.exception()  # seen, also when the client has left

    async def _tries(self, path: str, body: list[bytes], headers: dict[str, str]) -> Answer:
        """Retry until a worker has answered; only workers lost during the request count."""
        lost, slot = 0, None
        async with contextlib.AsyncExitStack() as alone:
            alone.enter_context(self._metrics.working.track_inprogress())
            while lost < _LOSSES:
                with self._slots.least_busy(after=slot) as slot:
                    try:
                        return await self._within_time(slot, path, body, headers)
                    except _Deserted:
                        continue
                    except ConnectionError:
                        lost += 1
                if lost == 1:
                    # The worker died. That may be another request's doing, so each gets more tries,
                    # one request at a time: the one that kills workers meets nobody else who has
                    # lost one already.
                    await alone.enter_async_context(self._again)
        raise WorkerLost

    async def _within_time(
        self, slot: int, path: str, body: list[bytes], headers: dict[str, str]
    ) -> Answer:
        """Ask within the timeout; time in which there is no worker does not count."""
        loop = asyncio.get_running_loop()
        started, left = loop.time(), float(self._settings.timeout)
        exchange = asyncio.ensure_future(self._exchange(slot, path, body, headers))
        while not exchange.done():
            looked = loop.time()
            await asyncio.wait({exchange}, timeout=min(_TICK, left))
            if self._has_worker():
                left -= loop.time() - looked
            if not exchange.done() and (left <= 0 or loop.time() - started > _START_LIMIT):
                exchange.cancel()
                raise TimedOut
            if not exchange.done() and self._slots.deserted(slot):
                # Had it taken the request, its end would have ended the connection.
                exchange.cancel()
                raise _Deserted
        answer = exchange.result()
        self._mean += _MEAN_WEIGHT * (loop.time() - started - self._mean)
        return answer

    async def _connect(self, slot: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect as soon as the socket is listened on; the caller limits the time."""
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionError, BlockingIOError):
                return await asyncio.open_unix_connection(socket_of(slot))
            await asyncio.sleep(_TICK)

    async def _exchange(
        self, slot: int, path: str, body: list[bytes], headers: dict[str, str]
    ) -> Answer:
        reader, writer = await self._connect(slot)
        size = str(sum(map(len, body)))
        head = {"Host": "ppocr", "Connection": "close", "Content-Length": size, **headers}
        http1 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
        request = h11.Request(method="POST", target=path, headers=list(head.items()))
        parts = (h11.Data(data=part) for part in body)
        try:
            for event in (request, *parts, h11.EndOfMessage()):
                writer.writelines(http1.send_with_data_passthrough(event) or ())
                await writer.drain()  # or all of it lies in the writer's buffer, too
            return await _read(reader, http1)
        except (ValueError, LookupError, h11.ProtocolError) as error:
            raise ConnectionError(f"that was no answer: {error}") from error
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, http1: h11.Connection) -> Answer:
    """A worker's answer.

    Raises:
        h11.RemoteProtocolError: it is none, or not whole.
        ValueError, LookupError: it is whole, and not what workers answer.
    """
    code, headers, body = 0, {}, bytearray()
    while not isinstance(event := http1.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            http1.receive_data(await reader.read(_BLOCK))
        elif isinstance(event, h11.Response):
            code = event.status_code
            headers = {key.decode(): value.decode("latin-1") for key, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
    if "content-length" not in headers:  # its end cannot be distinguished from the worker's
        raise LookupError("it has no length")
    if REPORT_HEADER.lower() not in headers:
        return _of_gunicorn(code)
    report = json.loads(headers[REPORT_HEADER.lower()])
    return Answer(code, bytes(body), headers.get("content-type", "application/json"), report)


def _of_gunicorn(code: int) -> Answer:
    """gunicorn's own refusal, which bypassed the middleware, in the contract's shape."""
    code = code if code in range(400, 500) else 500
    told = {"status": "101", "msg": http.HTTPStatus(code).phrase, "results": ""}
    kind = "request" if code < 500 else "internal"
    return Answer(code, json.dumps(told).encode(), "application/json", {"kind": kind})
