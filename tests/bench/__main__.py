"""Measures our service beside what people run today, in one run, and prints ratios.

    scripts/bench [--quick] [--image NAME] [--models PP-OCRv5-mobile] [--out reports/bench]

All are started first and asked in turn, so that a machine whose speed drifts treats all alike.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import count
from pathlib import Path
from typing import Any

from ppocr_control import version
from ppocr_control.images import models

from . import pages, plot
from .machine import machine
from .services import (
    HERE,
    LOCK,
    Service,
    ask,
    laid_out,
    ours,
    stock,
    stock_python,
    stock_variables,
)

Cell = dict[str, float]
#: Our subjects with other models than the default, which is "ours".
OURS: dict[str, dict[str, str]] = {
    "ours, fast": {"det": "PP-OCRv6-tiny", "rec": "PP-OCRv6-small"},
    "ours, PP-OCRv4-mobile": {"det": "PP-OCRv4-mobile", "rec": "PP-OCRv4-mobile"},
}
V4, V6 = "rapidocr PP-OCRv4-mobile", "rapidocr PP-OCRv6-small"


@dataclass(frozen=True)
class Target:
    """A ratio of two subjects: of ``what`` with 4 clients, or of memory or start.

    Attributes:
        more: whether a larger ratio is better.
    """

    subject: str
    other: str
    what: str
    value: float
    more: bool = True

    def __str__(self) -> str:
        what = {
            "rate": "img/s, 4 clients",
            "p95": "p95, 4 clients",
            "memory": "memory when settled",
            "ready": "start to ready",
        }
        return f"{self.subject} / {self.other}: {what[self.what]}"


TARGETS = (
    Target("ours", "stock", "rate", 4.0),
    Target("ours", V6, "rate", 1.4),
    Target("ours, fast", "stock", "rate", 5.0),
    Target("ours, PP-OCRv4-mobile", "stock", "rate", 5.5),
    Target("ours, PP-OCRv4-mobile", V4, "rate", 1.4),
    Target("ours", "stock", "p95", 0.25, more=False),
    Target("ours", "stock", "memory", 0.35, more=False),
    Target("ours", "stock", "ready", 0.4, more=False),
)


class Remote:
    """A service, asked by several clients at once."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.ready = service.ready_after

    def measure(self, made: list[str], clients: int, requests: int) -> list[float]:
        """Seconds of each request."""
        number = count()

        def client() -> list[float]:
            seconds = []
            while (mine := next(number)) < requests:
                started = time.monotonic()
                ask(self._service.url, made[mine % len(made)])
                seconds.append(time.monotonic() - started)
            return seconds

        with ThreadPoolExecutor(clients) as pool:
            started = [pool.submit(client) for _ in range(clients)]
            return [seconds for future in started for seconds in future.result()]

    def texts(self, made: list[tuple[str, list[str]]]) -> dict[str, float]:
        """How many lines there are, how many are read right, and how alike the others are (0..1).

        Spaces do not count: PP-OCR leaves most of them out.
        """
        right, alike = 0, 0.0
        for page, lines in made:
            found = [line["text"].replace(" ", "") for line in ask(self._service.url, page)]
            drawn = [line.replace(" ", "") for line in lines]
            right += len(drawn) - len(set(drawn) - set(found))
            alike += SequenceMatcher(None, "\n".join(found), "\n".join(drawn)).ratio()
        return {
            "lines": sum(len(lines) for _, lines in made),
            "right": right,
            "alike": alike / len(made),
        }

    def memory(self) -> int:
        return self._service.memory()


class InProcess:
    """rapidocr in a process of its own, one page after the other whatever the clients."""

    def __init__(self, models: str, stack: contextlib.ExitStack, made: list[str]) -> None:
        started = time.monotonic()
        self._process = stack.enter_context(
            subprocess.Popen(
                [str(stock_python(LOCK)), str(HERE / "in_process.py"), models],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=stock_variables(),
                text=True,
            )
        )
        stack.callback(self._process.kill)
        self._memory = 0
        self.measure(made, 1, 1)
        self.ready = time.monotonic() - started

    def measure(self, made: list[str], clients: int, requests: int) -> list[float]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"pages": made, "count": requests}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        self._memory = answer["memory"]
        seconds: list[float] = answer["seconds"]
        return seconds

    def memory(self) -> int:
        return self._memory


def cell(subject: Any, made: list[str], clients: int, requests: int) -> Cell:
    """Images a second, median and 95th percentile (seconds) of one measurement."""
    started = time.monotonic()
    seconds = sorted(subject.measure(made, clients, requests))
    elapsed = time.monotonic() - started
    return {
        "rate": requests / elapsed,
        "p50": statistics.median(seconds),
        "p95": seconds[min(len(seconds) - 1, round(0.95 * len(seconds)))],
    }


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure all; return machine, subjects and cells."""
    kinds = ["page"] if args.quick else list(pages.KINDS)
    made = {kind: pages.make(kind) for kind in kinds}
    first = made["page"][0]
    result: dict[str, Any] = {
        "machine": machine(),
        "cells": {},
        "memory": {},
        "ready": {},
        "texts": {},
    }
    with contextlib.ExitStack() as stack:
        subjects: dict[str, Any] = {
            "ours": Remote(stack.enter_context(ours(first, args.image))),
            "stock": Remote(stack.enter_context(stock(first, False))),
            "stock mkldnn": Remote(stack.enter_context(stock(first, True))),
            V4: InProcess("PP-OCRv4-mobile", stack, [first]),
            V6: InProcess("PP-OCRv6-small", stack, [first]),
        }
        for name, given in (OURS | {f"ours, {name}": name for name in args.models}).items():
            service = stack.enter_context(ours(first, args.image, laid_out(given, stack)))
            subjects[name] = Remote(service)
        for name, subject in subjects.items():
            # Every page once: what is prepared for a shape of picture is prepared then.
            subject.measure(made["page"], 4, len(made["page"]))
            result["ready"][name] = subject.ready
        for kind in kinds:
            for clients in (4,) if kind != "page" else args.clients:
                for name, subject in subjects.items():
                    requests = args.requests * (1 if kind == "page" else 0.5)
                    found = cell(subject, made[kind], clients, int(requests))
                    result["cells"][f"{name}|{kind}|{clients}"] = found
                    print(
                        f"{name:<22}{kind:<7}{clients} clients {found['rate']:6.2f} img/s",
                        flush=True,
                    )
        for name in ("ours", "stock"):
            peak = subjects[name].memory()
            for _ in range(args.settle // 20):
                subjects[name].measure(made["page"], 4, 20)
                peak = max(peak, subjects[name].memory())
            result["memory"][name] = {"peak": peak, "settled": subjects[name].memory()}
        hard = pages.hard(args.hard)
        for name, subject in subjects.items():
            if isinstance(subject, Remote):
                result["texts"][name] = subject.texts(hard)
        for name, subject in subjects.items():
            memory = subject.memory()
            result["memory"].setdefault(name, {"peak": memory, "settled": memory})
    return result


def ratio(result: dict[str, Any], target: Target) -> float:
    def value(name: str) -> float:
        if target.what == "memory":
            return float(result["memory"][name]["settled"])
        if target.what == "ready":
            return float(result["ready"][name])
        return float(result["cells"][f"{name}|page|4"][target.what])

    return value(target.subject) / value(target.other)


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    about = result["machine"]
    lines = [
        f"{about['cpus']} CPUs ({about['cpu']}), {about['date']}, load {about['load']:.1f}",
        "",
        "| figure | measured | target | |",
        "| --- | --- | --- | --- |",
    ]
    for target in TARGETS:
        value = ratio(result, target)
        met = value >= target.value if target.more else value <= target.value
        lines.append(f"| {target} | {value:.2f} | {target.value} | {'met' if met else 'missed'} |")
    columns = ("what", "pages", "clients", "img/s", "characters/s", "p50 s", "p95 s")
    lines += ["", f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for key, found in result["cells"].items():
        name, kind, clients = key.split("|")
        characters = found["rate"] * pages.characters(kind)
        speed = f"{found['rate']:.2f} | {characters:.0f} | {found['p50']:.2f} | {found['p95']:.2f}"
        lines.append(f"| {name} | {kind} | {clients} | {speed} |")
    lines += ["", "| what | ready after s | settled MB | peak MB |", "| --- " * 4 + "|"]
    for name, memory in result["memory"].items():
        sizes = f"{memory['settled'] / 1e6:.0f} | {memory['peak'] / 1e6:.0f}"
        lines.append(f"| {name} | {result['ready'][name]:.1f} | {sizes} |")
    lines += ["", "| texts of pages hard to read | lines | right | alike |", "| --- " * 4 + "|"]
    for name, found in result["texts"].items():
        lines.append(f"| {name} | {found['lines']} | {found['right']} | {found['alike']:.4f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--image", default=f"ppocr:{version.current()}", help="image of our service"
    )
    parser.add_argument("--quick", action="store_true", help="one kind of page only")
    parser.add_argument("--requests", type=int, default=40, help="requests of one measurement")
    parser.add_argument(
        "--clients", type=int, nargs="+", default=[1, 2, 4, 8], help="clients at once; 4 among them"
    )
    parser.add_argument("--hard", type=int, default=50, help="pages that are hard to read")
    parser.add_argument("--settle", type=int, default=500, help="requests before memory is read")
    parser.add_argument(
        "--models",
        nargs="+",
        default=[],
        choices=sorted(models.NAMED_SETS),
        metavar="NAME",
        help=f"ours with these models as well: {', '.join(sorted(models.NAMED_SETS))}",
    )
    parser.add_argument("--out", type=Path, default=Path("reports/bench"), help="folder to write")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # services are ended on the way out
    result = run(args)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "bench.md").write_text(table(result) + "\n")
    plot.draw(result, args.out / "bench.svg")
    print("\n" + table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
