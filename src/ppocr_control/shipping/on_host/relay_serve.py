"""Serves staged layers to hosts that know this run's token. Runs on a relay, see ../relay.py.

Prints ``PID PORT`` once it listens and continues in the background until its folder is removed, it
has been idle for a while, or its time limit is reached. So it ends even if the control node dies.
"""

import errno
import hmac
import os
import re
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

# Maximum of simultaneous connections; others are closed, and the hosts try again.
_MAX_CONNECTIONS = 128
# Seconds without data after which a connection is closed.
_STANDSTILL = 60


class Handler(BaseHTTPRequestHandler):
    """``GET /<sha256>`` with ``Authorization: Bearer TOKEN`` and perhaps ``Range: bytes=N-``."""

    server_version, sys_version = "ppocr-relay", ""
    timeout = _STANDSTILL
    server: "Server"

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self.server.secret):
            return self._refuse(403)
        name = self.path[1:]
        path = self.server.folder / name
        if name not in self.server.blobs or not path.is_file():
            return self._refuse(404)
        with self.server.at_work(), path.open("rb") as file:
            # Later transfers to this host remove layers that were not used for an hour.
            os.utime(str(path))
            size = os.fstat(file.fileno()).st_size
            offset = self._offset()
            if offset is None or offset > size:
                return self._refuse(416)
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Length", str(size - offset))
            self.send_header("Content-Range", f"bytes {offset}-{size - 1}/{size}")
            self.end_headers()
            try:
                self.connection.sendfile(file, offset)
            except OSError:
                self.close_connection = True  # the client disconnected
        return None

    def _offset(self) -> "int | None":
        found = re.match(r"bytes=(\d+)-$", self.headers.get("Range", "bytes=0-"))
        return int(found.group(1)) if found else None

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: no one reads it."""


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """The server; for its settings see main."""

    daemon_threads = True
    request_queue_size = _MAX_CONNECTIONS
    timeout = 0.5

    def __init__(self, address: str, settings: "dict[str, Any]") -> None:
        self.folder, self.blobs = Path(settings["folder"]), frozenset(settings["blobs"])
        self.secret = f"Bearer {settings['token']}".encode()
        self.idle, self.end = settings["idle"], time.monotonic() + settings["hours"] * 3600
        self.used, self.working = time.monotonic(), 0
        self.lock, self.slots = threading.Lock(), threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, settings["port"]), Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)  # HTTPServer's version queries name servers
        self.server_port = int(self.server_address[1])

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        if self.slots.acquire(False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        """Ignore broken connections: the client reports them."""

    def at_work(self) -> "AtWork":
        return AtWork(self)

    def serve(self) -> None:
        """Answer requests until one of the end conditions is met."""
        while self.folder.is_dir() and time.monotonic() < self.end:
            with self.lock:
                if not self.working and time.monotonic() - self.used > self.idle:
                    return
            self.handle_request()


class AtWork:
    """While a layer is being sent, the server does not count as idle."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def __enter__(self) -> None:
        self._count(1)

    def __exit__(self, *_: object) -> None:
        self._count(-1)

    def _count(self, one: int) -> None:
        with self.server.lock:
            self.server.working += one
            self.server.used = time.monotonic()


def listen(settings: "dict[str, Any]") -> Server:
    """Listen on the address peers use if this host has it, else (NAT, a name) on all."""
    addresses = [settings["address"]] if re.match(r"[\d.]+$|.*:", settings["address"]) else []
    for address in [*addresses, "::"]:
        try:
            return Server(address, settings)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
    return Server("0.0.0.0", settings)  # noqa: S104


def main(settings: "dict[str, Any]") -> None:
    """Serve.

    Args:
        settings: address and port to listen on (0: any free one), folder, blobs (names of files in
            it), token, idle (seconds), hours, and trial (true: only check whether it can listen).
    """
    try:
        server = listen(settings)
    except OSError as error:
        sys.exit(f"port {settings['port']}: {error.strerror}")
    child = 0 if settings["trial"] else os.fork()
    if child or settings["trial"]:
        print(child, server.server_port)
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    server.serve()
    os._exit(0)
