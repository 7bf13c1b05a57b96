"""The way from the front to a worker: a bounded queue, a deadline, another try on a lost worker."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from .guard import REPORT_HEADER
from .lanes import Lanes, socket_of
from .metrics import Metrics
from .settings import Settings

#: Seconds a request waits for a worker when there is none.
_START_LIMIT = 180.0
_TICK = 0.25
_CONNECT_TRIES = 40  # quarters of a second: between two workers nobody may be listening
_MEAN_WEIGHT = 0.1


class Busy(Exception):
    """The queue is full, or the service is starting or stopping; ``retry_after`` in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TimedOut(Exception):
    """The worker did not answer in time."""


class WorkerLost(Exception):
    """Workers ended while they were busy with this request."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """A worker's answer: HTTP status, body, Content-Type, and what it noted (see guard)."""

    code: int
    body: bytes
    content_type: str
    report: dict[str, Any]


class Upstream:
    """Gives requests to the workers behind their sockets, as many at once as they have threads."""

    def __init__(
        self, lanes: Lanes, settings: Settings, metrics: Metrics, has_worker: Callable[[], bool]
    ) -> None:
        self._lanes = lanes
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
        """What a request that finds the queue full is told; about when a place may be free."""
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

    async def ask(self, path: str, body: list[bytes], headers: dict[str, str]) -> Answer:
        """Wait for a place, then for the answer.

        Raises:
            Busy: the queue is full.
            TimedOut, WorkerLost: the worker hung, or died more than once.
        """
        if self._free.locked():
            if self.full:
                raise self.refusal()
            with self._queued():
                await self._free.acquire()
        else:
            await self._free.acquire()
        # The exchange goes on when the client leaves: the worker works on it all the same.
        exchange = asyncio.ensure_future(self._tries(path, body, headers))
        exchange.add_done_callback(self._done)
        return await asyncio.shield(exchange)

    def _done(self, exchange: asyncio.Future[Answer]) -> None:
        self._free.release()
        if not exchange.cancelled():
            exchange.exception()  # seen, also when the client has left

    async def _tries(self, path: str, body: list[bytes], headers: dict[str, str]) -> Answer:
        with self._metrics.working.track_inprogress():
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                return await self._try(path, body, headers)
            # The worker died. That may be another request's doing, so each gets another try, one
            # at a time: the one that kills workers meets nobody else who has lost one already.
            async with self._again:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    return await self._try(path, body, headers)
        raise WorkerLost

    async def _try(self, path: str, body: list[bytes], headers: dict[str, str]) -> Answer:
        """Ask the least busy worker."""
        with self._lanes.least_busy() as lane:
            return await self._within_time(lane, path, body, headers)

    async def _within_time(
        self, lane: int, path: str, body: list[bytes], headers: dict[str, str]
    ) -> Answer:
        """Ask within the timeout; time in which there is no worker does not count."""
        loop = asyncio.get_running_loop()
        started, left = loop.time(), float(self._settings.timeout)
        exchange = asyncio.ensure_future(self._exchange(lane, path, body, headers))
        while not exchange.done():
            looked = loop.time()
            await asyncio.wait({exchange}, timeout=min(_TICK, left))
            if self._has_worker():
                left -= loop.time() - looked
            if not exchange.done() and (left <= 0 or loop.time() - started > _START_LIMIT):
                exchange.cancel()
                raise TimedOut
            if not exchange.done() and self._lanes.deserted(lane):
                exchange.cancel()
                raise ConnectionError("the worker has gone, another one is there")
        answer = exchange.result()
        self._mean += _MEAN_WEIGHT * (loop.time() - started - self._mean)
        return answer

    async def _connect(self, lane: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(_CONNECT_TRIES):
            with contextlib.suppress(FileNotFoundError, ConnectionError, BlockingIOError):
                return await asyncio.open_unix_connection(socket_of(lane))
            await asyncio.sleep(0.25)
        raise ConnectionError("no worker listens")

    async def _exchange(
        self, lane: int, path: str, body: list[bytes], headers: dict[str, str]
    ) -> Answer:
        reader, writer = await self._connect(lane)
        try:
            size = sum(map(len, body))
            head = {"Host": "ppocr", "Connection": "close", "Content-Length": str(size), **headers}
            lines = [f"POST {path} HTTP/1.1", *(f"{key}: {value}" for key, value in head.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            for part in body:
                writer.write(part)
            await writer.drain()
            return _parse(await reader.readuntil(b"\r\n\r\n"), await reader.read())
        finally:
            writer.close()


def _parse(head: bytes, body: bytes) -> Answer:
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        key, _, value = line.partition(":")
        headers[key.lower()] = value.strip()
    # A worker that ends early leaves less than it announced; without a length nobody could tell.
    size = int(headers.get("content-length", -1))
    if len(body) != size:
        raise asyncio.IncompleteReadError(body, size)
    report = json.loads(headers.get(REPORT_HEADER.lower(), "{}"))
    content_type = headers.get("content-type", "application/json")
    return Answer(int(status.split(" ")[1]), body, content_type, report)
