"""What is recorded of one request: counts, times by stage, errors.

A context variable carries the report from the request to the inference threads
(:mod:`ppocr_serving.runtime` copies the context), so nothing has to be passed through.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any


@dataclasses.dataclass
class Report:
    """One request: pictures and pages, lines, pixels, seconds by stage, and its problem if any.

    ``large`` requests leave room and threads to others (see memory and turns).
    ``options`` are what the request asks to be done otherwise than the parameters say.
    """

    large: bool = False
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    images: int = 0
    lines: int = 0
    pixels: int = 0
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    #: Why images or pages of the request could not be read, by their name: "images[0]".
    unreadable: dict[str, RequestError] = dataclasses.field(default_factory=dict)
    #: What was not read of images that were, by their name; ``msg`` says it.
    notes: dict[str, str] = dataclasses.field(default_factory=dict)
    #: What the answer says of each page of a PDF, in the order of its results.
    pages: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    problem: Exception | None = None
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, repr=False)

    def count_lines(self, results: list[Any]) -> None:
        """Add the lines of a module's results, one an image."""
        self.lines += sum(len(found) if isinstance(found, list) else 1 for found in results)

    def add(self, stage: str, seconds: float) -> None:
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


class RequestError(ValueError):
    """The client's fault; ``kind`` names it in metrics, ``http`` is the status that says so."""

    def __init__(self, message: str, kind: str, http: int = 400) -> None:
        super().__init__(message)
        self.kind = kind
        self.http = http


_current: ContextVar[Report | None] = ContextVar("report", default=None)


def current() -> Report | None:
    """The report of the request at hand; none outside a request."""
    return _current.get()


@contextlib.contextmanager
def of_request() -> Iterator[Report]:
    """The current report; a new one, which is current for the block, where there is none."""
    if (begun := _current.get()) is not None:
        yield begun
        return
    report = Report()
    token = _current.set(report)
    try:
        yield report
    finally:
        _current.reset(token)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Add the time the block takes to the current report."""
    report = _current.get()
    started = time.perf_counter()
    try:
        yield
    finally:
        if report is not None:
            report.add(name, time.perf_counter() - started)
