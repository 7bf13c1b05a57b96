"""A service and a steady client for tests of balancers: small, but with what balancers go by."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hostlab import Host, inventory, tiny

PORT, BALANCED = 8866, 9866
AT_ONCE = 4
#: Answers after 0.2 s with what it is asked; finishes its requests before it ends, as the real one.
SERVICE = """
import http.server, json, signal, socket, sys, threading, time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer({})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(0.2)
        self.answer({"text": asked["text"], "version": sys.argv[1],
                     "client": self.headers["X-Forwarded-For"],
                     "container": socket.gethostname()})
        self.close_connection = True

    def log_message(self, *parts):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False


server = Server(("", 8866), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
"""


def build(host: Host, version: str, healthy: bool = True) -> None:
    """An image of the service's name on the host, of a version that its answers name."""
    check = "pass" if healthy else "raise SystemExit(1)"
    host.put("/root/build/serve.py", SERVICE)
    host.put(
        "/root/build/Dockerfile",
        f"FROM {tiny.TAG}\nCOPY serve.py /serve.py\nLABEL content={version}\n"
        f'HEALTHCHECK --interval=1s --retries=2 CMD ["/usr/bin/python", "-c", "{check}"]\n',
    )
    host.run(f"docker build -q -t ppocr:{version} /root/build")


def settings(version: str) -> dict[str, object]:
    """Of a deploy that runs a version."""
    return {
        "ppocr_version": version,
        "hubserving_command": ["/serve.py", version],
        "hubserving_wait_timeout": 20,
    }


def write_balancers(path: Path, balancers: Iterable[Host], address: str = "") -> Path:
    """An inventory with the balancers alone, to be given beside that of the hosts."""
    hosts = {host.name: inventory.host_variables(host) for host in balancers}
    group = {"hosts": hosts, "vars": {"balancer_virtual_address": address}}
    path.write_text(json.dumps({"ppocr_balancers": group}))
    return path


@dataclass
class Client:
    """Asks an address all the time, AT_ONCE requests at once, between ``with`` and its end."""

    address: str
    port: int = BALANCED
    answers: list[dict] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    longest: float = 0.0
    repeated: int = 0

    def __enter__(self) -> Client:
        self._numbers = itertools.count()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(AT_ONCE)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(1)
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self) -> None:
        while not self._end.is_set():
            text, began = f"Nr. {next(self._numbers)}", time.monotonic()
            try:
                answer = self._ask(text)
                if answer["text"] != text:
                    self.errors.append(f"{text}: {answer}")
                self.answers.append(answer)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.errors.append(f"{text}: {error!r}")
                time.sleep(0.1)
            self.longest = max(self.longest, time.monotonic() - began)

    def _ask(self, text: str) -> dict:
        """The answer; once more where the connection is closed without one."""
        try:
            return ask(self.address, text, self.port)
        except http.client.RemoteDisconnected:
            self.repeated += 1
            return ask(self.address, text, self.port)

    def show(self, what: str) -> None:
        print(
            f"{what}: {len(self.answers)} answers, {len(self.errors)} lost, "
            f"{self.repeated} repeated, longest wait {self.longest:.2f} s"
        )


def ask(address: str, text: str, port: int = BALANCED, timeout: float = 60) -> dict:
    """The service's answer to one request. Raises OSError, HTTPException or ValueError."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/predict/ocr_system", json.dumps({"text": text}), headers)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise ValueError(f"HTTP {response.status}: {body[:200]!r}")
        return json.loads(body)
    finally:
        connection.close()
