"""The port: connections are accepted within the limit, beyond it for health checks only."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from tornado import http1connection, httputil, web

from ppocr_contract.settings import Settings

from .. import listening
from ..logs import event
from .access import Access
from .connection_limit import SPARE, ConnectionLimit
from .connections import Connection, Deadlines, Malformed, Stream, TlsStream
from .metrics import Metrics
from .responses import ECHO, capped

log = logging.getLogger(__name__)

#: Bodies are counted by the handlers, which can say what is wrong; Tornado's own limit is not met.
_NO_LIMIT = 1 << 60
_HEAD_BYTES = 16384
#: Connections the kernel keeps until they are taken: beyond it a client's first try costs a second.
_BACKLOG = 4096
#: Seconds between requests that were sent ahead of their answers, over all connections: others need
#: not wait for the piles.
_PILED = 0.01
#: Connections taken before requests go on; Tornado takes 128, which are tens of milliseconds.
_AT_ONCE = 8
#: Files open beside connections of clients and to workers.
_FILES = 100
#: Bytes a connection may have read ahead.
_BUFFER = 1 << 20


class Listener(httputil.HTTPServerConnectionDelegate):
    """Listens on the port, and keeps the limit of connections."""

    def __init__(
        self,
        application: web.Application,
        settings: Settings,
        access: Access,
        metrics: Metrics,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._application = application
        self._access = access
        self._metrics = metrics
        self._tls = tls
        self._params = http1connection.HTTP1ConnectionParameters(
            max_header_size=_HEAD_BYTES,
            max_body_size=_NO_LIMIT,
        )
        self._deadlines = Deadlines(settings.header_timeout, settings.body_timeout)
        self._limit = ConnectionLimit(settings.connections)
        to_workers = settings.workers * settings.threads
        self._files = settings.connections + SPARE + to_workers + _FILES
        self._piled = asyncio.Lock()
        self._closers: list[Callable[[], object]] = []

    def listen(self, port: int) -> None:
        """Take connections on a port of every address."""
        listening.allow_files(self._files)
        loop = asyncio.get_running_loop()
        for one in listening.for_front(port, _BACKLOG):
            loop.add_reader(one, self._accept, one)
            self._closers += [functools.partial(loop.remove_reader, one), one.close]

    def stop(self) -> None:
        """Take no new connection; those there are go on."""
        while self._closers:
            self._closers.pop(0)()

    def _accept(self, listening_socket: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                plain, address = listening_socket.accept()
            except OSError:  # no more, gone already, or no descriptors left
                return
            self._accepted(plain, address)

    def _accepted(self, plain: socket.socket, address: Any) -> None:
        try:
            stream: Stream | TlsStream
            if self._tls:
                wrapped = self._tls.wrap_socket(
                    plain, server_side=True, do_handshake_on_connect=False
                )
                stream = TlsStream(wrapped, max_buffer_size=_BUFFER)
            else:
                stream = Stream(plain, max_buffer_size=_BUFFER)
        except OSError:  # gone already
            plain.close()
            return
        connection = Connection(self, stream, self._params, self._deadlines, address)
        if not self._limit.admit(connection):
            stream.close()
            return
        connection.start_serving(self)
        self._metrics.connections.set(len(self._limit))

    def start_request(
        self, server_conn: object, request_conn: httputil.HTTPConnection
    ) -> httputil.HTTPMessageDelegate:
        return self._application.start_request(server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        assert isinstance(server_conn, Connection)
        self._limit.leave(server_conn)
        self._metrics.connections.set(len(self._limit))

    def serves(self, connection: Connection) -> bool:
        """Whether there is a place for a connection's request."""
        return self._limit.serves(connection)

    @property
    def answering(self) -> bool:
        """Whether a client is still taking its answer."""
        return self._limit.answering

    async def piled(self) -> None:
        """Wait for a turn among all requests that were sent ahead of their answers."""
        async with self._piled:
            await asyncio.sleep(_PILED)

    def malformed(self, connection: Connection, fault: Malformed) -> tuple[int, str]:
        """Note a request that no handler sees, and say what to answer."""
        code, message, kind = fault.code, str(fault), fault.kind
        if not self._access.from_allowed_network(connection.client):
            code, message, kind = 403, self._access.NETWORK, "access"
        self._metrics.errors.labels(kind).inc()
        event(
            log,
            "request",
            client=connection.client,
            code=code,
            error=kind,
            reason=capped(message, 2 * ECHO),
        )
        return code, message
