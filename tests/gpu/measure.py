"""Measures a service on a card, in five minutes at most: ``python -m tests.gpu.measure``.

Needs Python and the folders tests/gpu and smoke_tests: they are carried to a machine with a card
and without a network (README.md beside it). Prints a line for each step as it goes, and at the end
one of JSON: samples that are misread, and for 1, 4 and 16 clients pictures a second, p50 and p95 in
milliseconds, errors, and memory.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from smoke_tests.contract import normalise
from smoke_tests.samples import load_samples

SAMPLES = Path(__file__).parents[2] / "smoke_tests/samples"
CLIENTS = (1, 4, 16)
#: Seconds of the whole run; what is left out is said.
LIMIT = 300
_SECONDS = 20  # for each number of clients
_WAIT = 180  # until the service is ready


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def quantile(values, share):
    """The value that a share of the values does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0


def summary(seconds, took, errors):
    """What is said of so many answers: their seconds, and those they took together."""
    return {
        "img/s": round(len(seconds) / took, 1),
        "p50 ms": round(quantile(seconds, 0.5) * 1000),
        "p95 ms": round(quantile(seconds, 0.95) * 1000),
        "errors": errors,
    }


class Service:
    """A service at a URL."""

    def __init__(self, url):
        self._url = url.rstrip("/")

    def ready(self, seconds):
        """Wait until it is ready; what /readyz says."""
        until = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(f"{self._url}/readyz", timeout=5) as answer:
                    return json.loads(answer.read())
            except OSError as error:
                if time.monotonic() > until:
                    sys.exit(f"{self._url} is not ready after {seconds} s: {error}")
                time.sleep(1)

    def lines(self, picture):
        """The texts of a picture's lines."""
        body = json.dumps({"images": [base64.b64encode(picture).decode()]}).encode()
        request = urllib.request.Request(
            f"{self._url}/predict/ocr_system", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return [line["text"] for line in json.loads(answer.read())["results"][0]]


def misread(service, samples):
    """{name: what is read} of samples whose text is not."""
    wrong = {}
    for sample in load_samples(samples):
        read = service.lines(sample.path.read_bytes())
        if [normalise(line) for line in read] != [normalise(line) for line in sample.lines]:
            wrong[sample.name] = read
    return wrong


def load(service, picture, clients, seconds):
    """The summary of as many clients posting a picture for so long."""
    until, answered, errors = time.monotonic() + seconds, [], []

    def client():
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                service.lines(picture)
            except (OSError, ValueError) as error:
                errors.append(str(error))
                time.sleep(0.1)
            else:
                answered.append(time.monotonic() - began)

    began = time.monotonic()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return summary(answered, time.monotonic() - began, len(errors))


def memory():
    """MB of the cards, as nvidia-smi tells them; and of the host's processes of the service."""
    try:
        asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        cards = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
        used = [int(line) for line in cards.stdout.split()]
    except (OSError, ValueError, subprocess.TimeoutExpired):
        used = []
    host = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"ppocr_serving" in (process / "cmdline").read_bytes():
                pages = int((process / "statm").read_text().split()[1])
                host += pages * 4096 // 1_000_000
        except OSError:  # it has ended
            continue
    return {"card MB": used, "host MB": host}


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8866")
    parser.add_argument("--page", type=Path, default=SAMPLES / "mixed.jpg", help="what is posted")
    parser.add_argument(
        "--seconds", type=float, default=_SECONDS, help="for each number of clients"
    )
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of the whole run")
    return parser.parse_args(arguments)


def main(arguments=None):
    args, began = parse(arguments), time.monotonic()
    service, found = Service(args.url), {"clients": {}}
    say("waiting for the service")
    found["ready"] = service.ready(min(_WAIT, args.limit))
    found["ready after s"] = round(time.monotonic() - began)
    say(f"ready: {found['ready']}")
    found["misread"] = misread(service, SAMPLES)
    say(f"samples that are misread: {found['misread'] or 'none'}")
    page = args.page.read_bytes()
    for clients in CLIENTS:
        if time.monotonic() - began + args.seconds > args.limit:
            say(f"{clients} clients: left out, {args.limit:.0f} s are over")
            continue
        found["clients"][clients] = {**load(service, page, clients, args.seconds), **memory()}
        say(f"{clients} clients: {found['clients'][clients]}")
    print(json.dumps(found, ensure_ascii=False))
    return 1 if found["misread"] else 0


if __name__ == "__main__":
    sys.exit(main())
