"""Connections of clients: Tornado's HTTP/1, with an answer for whatever is no HTTP, and deadlines.

Tornado (6.6, pinned) closes or says "400" without a body where a head, a length or a chunk is
wrong, waits for ever for an answer to be taken, and closes on a client that is still sending. The
methods overridden here are where it does so, and the deadlines are ours. What of Tornado is private
is listed in tests/image/test_private_parts.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from http.client import responses
from typing import Any, NamedTuple, Protocol

from tornado import http1connection, httputil, iostream, web

from .connection_limit import ANSWERING, IDLE, LEAVING, RECEIVING, WORKING, group_of
from .responses import capped, encode, failure

log = logging.getLogger(__name__)

#: Seconds in which a client that is still sending may find its answer before the connection closes.
_LINGER = 2.0
_PLAIN_ANSWER = (
    "HTTP/1.1 {code} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n"
    "Connection: close\r\n\r\n"
)
_TLS_RECORD = b"\x16\x03"
_HEAD_END = re.compile(rb"\r?\n\r?\n\Z")
_LENGTH = re.compile(r"[0-9]{1,18}")
_HTTP_TO_TLS = {"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"}
TLS_TO_HTTP = (
    "this port speaks plain HTTP, the client began with TLS: use http://, or turn HTTPS on "
    "(hubserving_tls_cert, hubserving_tls_key)"
)
HTTP_TO_TLS = "this port speaks HTTPS only: use https:// (hubserving_tls_cert is set)"


class Deadlines(NamedTuple):
    """Seconds a client has to send a head; and a body, or to take an answer."""

    head: float
    body: float


class Malformed(Exception):
    """A request that no handler could answer.

    Args:
        code: HTTP status to answer with.
        message: for the client and the log.
        kind: of error, for the metrics.
    """

    def __init__(self, code: int, message: str, kind: str = "malformed") -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind


def plain_answer(code: int, message: str) -> bytes:
    """A complete response in the contract's shape, where no handler can give one."""
    body = encode(failure(message))
    phrase = responses.get(code, "Unknown")
    head = _PLAIN_ANSWER.format(code=code, phrase=phrase, size=len(body))
    return head.encode() + body


class _Counted:
    """Common to both kinds of streams: counts bytes, and passes on malformed heads."""

    bytes_moved = 0

    @property
    def ahead(self) -> bool:
        """Whether there are unread bytes."""
        return bool(self._read_buffer_size)  # type: ignore[attr-defined]

    def read_from_fd(self, buf: Any) -> int | None:
        count: int | None = super().read_from_fd(buf)  # type: ignore[misc]
        self.bytes_moved += count or 0
        return count

    def write_to_fd(self, data: memoryview) -> int:
        count: int = super().write_to_fd(data)  # type: ignore[misc]
        self.bytes_moved += count
        return count

    def _find_read_pos(self) -> int | None:
        """Where Tornado would close without an answer, end the read with what fails to parse."""
        if self._read_regex is not None and self._read_buffer.startswith(_TLS_RECORD):  # type: ignore[attr-defined]
            return self._read_buffer_size  # type: ignore[attr-defined, no-any-return]
        try:
            return super()._find_read_pos()  # type: ignore[misc, no-any-return]
        except iostream.UnsatisfiableReadError:
            # A head: cut off. A chunk's size: an empty line, since its digits must not be believed.
            whole = self._read_regex is not None  # type: ignore[attr-defined]
            return self._read_max_bytes if whole else 2  # type: ignore[attr-defined, no-any-return]


class Stream(_Counted, iostream.IOStream):
    """A plain connection."""


class TlsStream(_Counted, iostream.SSLIOStream):
    """A TLS connection; clients that send plain HTTP are refused in plain HTTP."""

    def close(self, exc_info: Any = False) -> None:
        if isinstance(exc_info, ssl.SSLError) and exc_info.reason in _HTTP_TO_TLS:
            with contextlib.suppress(OSError):
                log.warning("%s: %s", self.socket.getpeername()[0], HTTP_TO_TLS)
                plain = socket.socket  # the way around TLS
                plain.send(self.socket, plain_answer(400, HTTP_TO_TLS))
                plain.recv(self.socket, 1 << 16)  # unread, it would cost the client the answer
        super().close(exc_info)


class Exchange(http1connection.HTTP1Connection):
    """One request and its answer.

    Attributes:
        on_broken: what answers for a body that is no HTTP, or late, once a handler has the head:
            it is given an HTTP status, a message and a kind of error.
    """

    on_broken: Callable[[int, str, str], None] | None = None

    def __init__(self, owner: Connection) -> None:
        super().__init__(owner.stream, False, owner.params, owner.context)
        self.owner = owner
        self._received = False
        self._deadline: object | None = None

    def _parse_headers(self, data: bytes) -> tuple[str, httputil.HTTPHeaders]:
        if self.owner.state == LEAVING:  # it has been answered that it is too late
            raise iostream.StreamClosedError
        self.owner.end_head_deadline()
        if data.startswith(_TLS_RECORD):
            raise Malformed(400, TLS_TO_HTTP, "tls")
        if not _HEAD_END.search(data):
            kilobytes = self.params.max_header_size // 1024
            raise Malformed(431, f"the head of the request is larger than {kilobytes} KB")
        try:
            line, headers = super()._parse_headers(data)
            start = httputil.parse_request_start_line(line)
            # What Tornado would refuse later, when a handler has begun: Host and query.
            httputil.HTTPServerRequest(connection=self, start_line=start, headers=headers)
            http1connection.is_transfer_encoding_chunked(headers)
        except httputil.HTTPInputError as error:
            raise Malformed(400, f"the head of the request is no HTTP: {capped(error)}") from error
        if "Content-Length" in headers:
            lengths = {text.strip() for text in headers["Content-Length"].split(",")}
            length = lengths.pop()
            if lengths or not _LENGTH.fullmatch(length):
                raise Malformed(400, "Content-Length must be one number of bytes")
            headers["Content-Length"] = length
        if start.method not in web.RequestHandler.SUPPORTED_METHODS:
            raise Malformed(405, f"no such method: {capped(start.method, 20)}", "method")
        self.owner.enter(RECEIVING)
        return line, headers

    def _read_body(
        self, code: int, headers: httputil.HTTPHeaders, delegate: httputil.HTTPMessageDelegate
    ) -> Awaitable[None] | None:
        reading = super()._read_body(code, headers, delegate)
        if reading is None:
            self._whole()
            return None

        async def read() -> None:
            late = self.stream.io_loop.call_later(self.owner.deadlines.body, self._late)
            try:
                await reading
            except httputil.HTTPInputError as error:
                if self.on_broken is not None:
                    message = f"the body is no HTTP: {capped(error)}"
                    self.on_broken(400, message, "malformed")
                await self.owner.discard()
            finally:
                self.stream.io_loop.remove_timeout(late)
            self._whole()

        return read()

    def _whole(self) -> None:
        """The request has come in whole."""
        self._received = True
        self.owner.received()

    def _late(self) -> None:
        """The body has not come in time."""
        if self.on_broken is None or self.owner.state != RECEIVING:  # it has its answer
            self.stream.close()
        else:
            seconds = self.owner.deadlines.body
            message = f"the body did not come within {seconds:g} s (hubserving_body_timeout)"
            self.on_broken(408, message, "body_timeout")

    def finish(self) -> None:
        self.owner.enter(ANSWERING)
        super().finish()
        if self.stream.writing():
            self._deadline = self.stream.io_loop.call_later(self.owner.deadlines.body, self._cut)

    def _cut(self) -> None:
        self._deadline = None
        self.owner.tell("the client did not take its answer in time")
        self.stream.close()

    def _finish_request(self, future: Any) -> None:
        if self._deadline is not None:
            self.stream.io_loop.remove_timeout(self._deadline)
            self._deadline = None
        if not self._received and not self.stream.closed():
            # Closed at once, with bytes of the client's unread, the answer would be lost: what it
            # sends meanwhile is read and thrown away.
            self.owner.part()
            return
        super()._finish_request(future)


class Keeper(Protocol):
    """What a connection needs of the server it belongs to."""

    def serves(self, connection: Connection) -> bool:
        """Whether there is a place for its request among those that are served."""

    async def piled(self) -> None:
        """Wait for a turn: a client sends requests ahead of their answers."""

    def malformed(self, connection: Connection, fault: Malformed) -> tuple[int, str]:
        """Note it; return the HTTP status and message to answer with."""


class Context:
    """What Tornado asks of a connection about its client."""

    def __init__(self, address: Any, protocol: str) -> None:
        self.remote_ip = str(address[0])
        self.protocol = protocol

    def __str__(self) -> str:
        return self.remote_ip


class Connection:
    """One client's connection; counted by :mod:`.connection_limit`."""

    def __init__(
        self,
        keeper: Keeper,
        stream: Stream | TlsStream,
        params: http1connection.HTTP1ConnectionParameters,
        deadlines: Deadlines,
        address: Any,
    ) -> None:
        protocol = "https" if isinstance(stream, TlsStream) else "http"
        self.stream = stream
        self.params = params
        self.context = Context(address, protocol)
        self._keeper = keeper
        self.deadlines = deadlines
        self._head_due: object | None = None
        self.client: str = self.context.remote_ip
        self.group = group_of(self.client)
        self.enter(IDLE)

    def enter(self, state: int) -> None:
        """Change the state of the connection."""
        self.state = state
        self.since = time.monotonic()
        self._base = self.stream.bytes_moved

    def received(self) -> None:
        """A request has come in whole; it may have been answered already."""
        if self.state == RECEIVING:
            self.enter(WORKING)

    @property
    def moved(self) -> int:
        """Bytes that came or went since it is in this state."""
        return int(self.stream.bytes_moved) - self._base

    def evict(self) -> None:
        """Another client needs the place."""
        if self.state in (RECEIVING, ANSWERING):
            self.tell("closed: too slow for its place among the connections")
        self.stream.close()

    @property
    def served(self) -> bool:
        """Whether there is a place for its request; health is answered anyway."""
        return self._keeper.serves(self)

    def tell(self, message: str) -> None:
        """Log something about this client."""
        log.warning("%s: %s", self.client, message)

    def part(self) -> None:
        """The response is complete: give the client a moment to read it."""
        self.enter(LEAVING)
        if not isinstance(self.stream, TlsStream) and self.stream.socket is not None:
            try:
                self.stream.socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.stream.close()
                return
        self.stream.io_loop.call_later(_LINGER, self.stream.close)

    async def discard(self) -> None:
        """Read and discard until the connection is closed.

        Raises:
            StreamClosedError: it is.
        """
        while True:
            await self.stream.read_bytes(1 << 16, partial=True)

    def end_head_deadline(self) -> None:
        """A head has come in, whatever it says, or none is waited for any more."""
        if self._head_due is not None:
            self.stream.io_loop.remove_timeout(self._head_due)
            self._head_due = None

    def _no_head(self) -> None:
        """No head has arrived in time; a client that has sent part of one gets a response."""
        self._head_due = None
        if self.stream.ahead:
            late = f"the head did not come within {self.deadlines.head:g} s"
            self._say(Malformed(408, f"{late} (hubserving_header_timeout)", "header_timeout"))
        else:
            self.stream.close()

    def _say(self, fault: Malformed) -> None:
        code, message = self._keeper.malformed(self, fault)
        self.enter(ANSWERING)
        self.stream.write(plain_answer(code, message))
        self.part()

    async def _refuse(self, fault: Malformed) -> None:
        self._say(fault)
        await self.discard()

    def start_serving(self, delegate: httputil.HTTPServerConnectionDelegate) -> None:
        """Answer requests, one after the other, until the connection is closed."""
        self._serving = asyncio.ensure_future(self._serve(delegate))

    async def _serve(self, delegate: httputil.HTTPServerConnectionDelegate) -> None:
        try:
            while True:
                self.enter(IDLE)
                self._head_due = self.stream.io_loop.call_later(self.deadlines.head, self._no_head)
                exchange = Exchange(self)
                request = delegate.start_request(self, exchange)
                try:
                    more = await exchange.read_response(request)
                except Malformed as fault:
                    await self._refuse(fault)
                    return
                if not more or self.stream.closed():  # what it had sent ahead is not looked at
                    return
                self.enter(IDLE)
                if self.stream.ahead:
                    await self._keeper.piled()
                else:
                    await asyncio.sleep(0)
        except (iostream.StreamClosedError, asyncio.CancelledError):
            return
        except Exception:
            log.exception("%s: a fault on its connection", self.client)
        finally:
            self.end_head_deadline()
            self.stream.close()
            delegate.on_close(self)
