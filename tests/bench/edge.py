"""Measures what the edge costs: through it and straight to the container behind it, in turns.

    python -m tests.bench.edge [--name ppocr] [--requests 400] [--seconds 10] [--rounds 6]

Runs on the host of a deployed service without tokens and TLS; ``python3 edge.py --sample FILE``
does without the project. Both are asked at their addresses on the engine's network, in turns, so
that a machine whose speed drifts treats both alike.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CLIENTS = 4
#: Most that the edge may cost: milliseconds at p50, and part of the throughput.
LATENCY, THROUGHPUT = 2.0, 0.02
_ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"


class Client:
    """One kept connection to a service.

    Args:
        container: whose address is asked.
        port: of the service, inside and outside of the container.
        body: of the posted request; none for a GET of /livez, which costs the service nothing.
    """

    def __init__(self, container: str, port: int, body: bytes | None) -> None:
        inspect = ["docker", "inspect", f"--format={_ADDRESS}", container]
        address = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.strip()
        self._connection = http.client.HTTPConnection(address, port, timeout=60)
        self._request = ("POST", "/predict/ocr_system", body) if body else ("GET", "/livez", None)

    def ask(self) -> float:
        """Return the seconds of one request; raises RuntimeError unless it is answered with 200."""
        began = time.perf_counter()
        method, path, body = self._request
        headers = {"Content-Type": "application/json"}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"HTTP {answer.status}")
        return time.perf_counter() - began


def p50(ways: list[Client], requests: int) -> Iterator[float]:
    """Milliseconds of each way at p50."""
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(requests):
        for client, seconds in zip(ways, taken, strict=True):
            seconds.append(client.ask())
    return (1000 * statistics.median(seconds) for seconds in taken)


def per_second(ways: list[list[Client]], seconds: float, rounds: int) -> Iterator[float]:
    """Answers a second of each way, whose clients ask at the same time."""

    def ask_on(client: Client, end: float) -> int:
        answers = 0
        while time.monotonic() < end:
            client.ask()
            answers += 1
        return answers

    answers = [0] * len(ways)
    with ThreadPoolExecutor(CLIENTS) as pool:
        for turn in range(rounds * len(ways)):
            # Neither is always the first after a pause: a b b a a b b a
            way = (turn + turn // len(ways)) % len(ways)
            end = time.monotonic() + seconds
            done = pool.map(ask_on, ways[way], [end] * CLIENTS)
            answers[way] += sum(done)
    return (count / rounds / seconds for count in answers)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    sample = Path("smoke_tests/samples/image.json")
    parser.add_argument("--name", default="ppocr", help="instance (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8866, help="its port (default: %(default)s)")
    parser.add_argument("--sample", type=Path, default=sample, help="body of the requests, a file")
    parser.add_argument("--requests", type=int, default=400, help="of each way, for the latency")
    parser.add_argument("--seconds", type=float, default=10, help="of one round")
    parser.add_argument("--rounds", type=int, default=6, help="of each way, for the throughput")
    asked = parser.parse_args()
    body = asked.sample.read_bytes()

    def clients(sent: bytes | None) -> list[Client]:
        return [
            Client(container, asked.port, sent) for container in (asked.name, f"{asked.name}-edge")
        ]

    list(p50(clients(body), 10))  # caches are filled
    print(f"{'':24}{'straight':>10}{'edge':>10}{'cost':>10}{'target':>10}")
    for name, sent in (("p50 of the sample, ms", body), ("p50 of /livez, ms", None)):
        straight, edge = p50(clients(sent), asked.requests)
        cost, target = f"{edge - straight:.2f}", f"< {LATENCY:g}"
        print(f"{name:24}{straight:10.2f}{edge:10.2f}{cost:>10}{target:>10}")
    ways = [list(way) for way in zip(*(clients(body) for _ in range(CLIENTS)), strict=True)]
    straight, edge = per_second(ways, asked.seconds, asked.rounds)
    cost, target = f"{1 - edge / straight:.1%}", f"< {THROUGHPUT:.0%}"
    print(f"{'samples/s, 4 clients':24}{straight:10.2f}{edge:10.2f}{cost:>10}{target:>10}")


if __name__ == "__main__":
    main()
