"""Attacks on a service beside honest clients: ``python -m tests.service.attacks --seconds 300``.

Starts the container as the role does, with its default settings and memory limit. Four honest
clients ask and check every text, first alone, then beside the attacks. Prints what was seen; the
exit status is 1 where an answer was wrong or lost, a worker was lost, the honest waited more than
three times as long, or the memory limit was met.
"""

import argparse
import base64
import contextlib
import json
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ppocr_contract.config import OCR_MODULES
from tests import rawhttp
from tests.containers import IMAGE, Container, docker, encoded
from tests.rawhttp import Client, ask, post, request

HONEST = 4
TARGET = 3.0
MEMORY = 4_000_000_000
GOOD = json.dumps({"images": [encoded("line.png")]}).encode()
TEXT = "单行识别2026"

#: Runs in the container: megabytes of its processes, and whether the kernel ended one.
_MEMORY = """
import pathlib, sys, time
def read(*names):
    for name in names:
        path = pathlib.Path("/sys/fs/cgroup", name)
        if path.exists():
            return dict(line.split()[:2] for line in path.read_text().splitlines())
    return {}
while True:
    used = read("memory.stat", "memory/memory.stat")
    killed = read("memory.events", "memory/memory.oom_control").get("oom_kill", 0)
    print(used.get("anon") or used.get("total_rss"), killed, flush=True)
    time.sleep(0.2)
"""


def _png(width, height):
    """A white PNG of so many pixels, whose bytes are few."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff" * width) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _two_widths(first, second, height):
    """A TIFF that has its width twice, its pixels packed."""
    strip = zlib.compress(bytes(10_000), 9)
    tags = [(256, 4, first), (256, 4, second), (257, 4, height), (258, 3, 8), (259, 3, 8)]
    tags += [(262, 3, 1), (273, 4, 0), (277, 3, 1), (278, 4, height), (279, 4, len(strip))]
    offset = 8 + 2 + 12 * len(tags) + 4
    rows = b"".join(
        struct.pack("<HHII", tag, kind, 1, offset if tag == 273 else value)
        for tag, kind, value in tags
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + bytes(4) + strip


def _images(*files, module="ocr_system"):
    body = json.dumps({"images": [base64.b64encode(file).decode() for file in files]}).encode()
    return post(body, path=f"/predict/{module}")


class Attacks:
    """Each method is one attack, done once; attackers repeat it.

    Args:
        address: of the service.
    """

    def __init__(self, address):
        self.address = address
        self._zeros = rawhttp.zeros(2600)
        self._keys = b"{" + b'"":0,' * 9_000_000 + b'"images":[]}'
        large = _png(7000, 7000)
        self._large = _images(large, large, large, large)
        self._tiff = _images(_two_widths(100, 32000, 100), _two_widths(32000, 100, 32000))

    def bomb_anywhere(self):
        """A5: gzip to paths that read no body."""
        for path in ("/livez", "/metrics", "/nothing", "/"):
            ask(self.address, post(self._zeros, "Content-Encoding: gzip", path=path))

    def bomb_to_predict(self):
        """A12: the same where bodies are read."""
        ask(self.address, post(self._zeros, "Content-Encoding: gzip"))

    def greedy(self):
        """A10: pipelined GETs whose answers nobody reads."""
        with contextlib.ExitStack() as open_ones:
            for _ in range(16):
                client = open_ones.enter_context(Client(self.address, 2))
                client.send(request("GET / HTTP/1.1") * 3000)
            time.sleep(1)

    def idle(self):
        """A13: 2,000 connections that say nothing."""
        with contextlib.ExitStack() as open_ones:
            for _ in range(2000):
                with contextlib.suppress(OSError):
                    open_ones.enter_context(Client(self.address, 2))
            time.sleep(2)

    def two_widths(self):
        """B4: a TIFF whose readers disagree on its size."""
        ask(self.address, self._tiff, 90)

    def keys(self):
        """B10: nine million keys without a name."""
        ask(self.address, post(self._keys[:63_000_000]), 90)

    def large(self):
        """B15: four pictures of 49 megapixels."""
        ask(self.address, self._large, 90)


def _ask(service, until):
    """One honest client: seconds of its answers, wrong ones, lost ones."""
    waits, wrong, lost = [], [], []
    while time.monotonic() < until:
        started = time.monotonic()
        try:
            status, body = service.post("ocr_rec", GOOD, timeout=90)
        except OSError as error:
            lost.append(repr(error))
            continue
        if status == 503:  # told to come again: it does
            time.sleep(1)
            continue
        answer = json.loads(body)
        if status != 200 or answer["results"][0][0]["text"].strip() != TEXT:
            wrong.append((status, body[:200]))
        waits.append(time.monotonic() - started)
    return waits, wrong, lost


class Honest:
    """Clients that check what they are answered, each a process: attackers take none of its time.

    Attributes:
        waits: seconds each answer took.
        wrong, lost: what went wrong.
    """

    def __init__(self, service):
        self._service = service
        self._pool = ProcessPoolExecutor(HONEST)
        self.waits, self.wrong, self.lost = [], [], []

    def go_on(self, seconds):
        """Ask for so long; return the 95th percentile of the seconds an answer took."""
        self.waits = []
        until = time.monotonic() + seconds
        asked = [self._pool.submit(_ask, self._service, until) for _ in range(HONEST)]
        for one in asked:
            waits, wrong, lost = one.result()
            self.waits += waits
            self.wrong += wrong
            self.lost += lost
        return sorted(self.waits)[int(len(self.waits) * 0.95)] if self.waits else float("inf")


def _attack(attack, stop, counts):
    while not stop.is_set():
        with contextlib.suppress(OSError, ValueError, AssertionError):
            attack()
        counts[attack.__name__] = counts.get(attack.__name__, 0) + 1
        stop.wait(0.2)


class Attacked(Container):
    """Reached at its own address: Docker's proxy for ports published on loopback ends for good when
    thousands of connections have used up its descriptors; clients from outside do not pass it."""

    @property
    def address(self):
        shown = "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", shown, self.name).stdout.strip(), 8866


def _start(folder):
    info = {name: {"init_args": {}, "predict_args": {}} for name in OCR_MODULES}
    config = folder / "config.json"
    config.write_text(json.dumps({"modules_info": info, "port": 8866}))
    folder.chmod(0o755)
    return Attacked(
        f"--volume={config}:/etc/ppocr/config.json:ro", f"--memory={MEMORY}", image=IMAGE
    )


def _lost_workers(service):
    lines = service.request("GET", "/metrics")[2].decode().splitlines()
    name = 'ppocr_worker_restarts_total{reason="lost"}'
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def run(seconds, only=()):
    """Attack a service of its own; return what was missed."""
    with tempfile.TemporaryDirectory() as folder:
        service = _start(Path(folder))
        try:
            service.wait(lambda: "worker ready" in service.logs())
            return _measure(service, seconds, only)
        except OSError:
            print(service.state, service.logs()[-4000:], file=sys.stderr)
            raise
        finally:
            service.remove()


def _measure(service, seconds, only):
    sampler = subprocess.Popen(
        ["docker", "exec", service.name, "python", "-c", _MEMORY], stdout=subprocess.PIPE, text=True
    )
    samples = []
    reading = threading.Thread(
        target=lambda: samples.extend(line.split() for line in sampler.stdout), daemon=True
    )
    reading.start()
    honest, attacks = Honest(service), Attacks(service.address)
    alone = honest.go_on(max(seconds / 5, 5))
    answered = len(honest.waits)
    stop, counts = threading.Event(), {}
    kinds = [
        getattr(attacks, name)
        for name in vars(Attacks)
        if not name.startswith("_") and (not only or name in only)
    ]
    attackers = [threading.Thread(target=_attack, args=(kind, stop, counts)) for kind in kinds]
    for attacker in attackers:
        attacker.start()
    beside = honest.go_on(seconds)
    stop.set()
    for attacker in attackers:
        attacker.join()
    lost = _lost_workers(service)
    sampler.terminate()
    reading.join(5)
    peak = max(int(used) for used, _ in samples)
    killed = max(int(number) for _, number in samples)
    print(f"attacks:        {counts}")
    print(f"honest answers: {answered} alone, {len(honest.waits)} beside")
    print(f"wrong, lost:    {len(honest.wrong)}, {len(honest.lost)}")
    print(f"p95:            {alone:.2f} s alone, {beside:.2f} s beside: {beside / alone:.1f} times")
    print(f"peak memory:    {peak / 1e6:.0f} of {MEMORY / 1e6:.0f} MB, {killed} killed for it")
    print(f"workers lost:   {lost:.0f}")
    for fault in (honest.wrong + honest.lost)[:5]:
        print(f"  {fault}")
    return [
        name
        for name, missed in (
            ("wrong answers", honest.wrong),
            ("lost answers", honest.lost),
            ("p95", beside > TARGET * alone),
            ("memory", killed or peak >= MEMORY),
            ("workers lost", lost),
        )
        if missed
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300, help="of the attack (300)")
    parser.add_argument("--only", action="append", default=[], help="an attack, by its name")
    given = parser.parse_args()
    missed = run(given.seconds, given.only)
    print(f"missed: {', '.join(missed)}" if missed else "all targets met")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
