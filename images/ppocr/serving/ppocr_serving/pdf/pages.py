"""The pages of a request's PDFs, drawn by processes of their own and handed over one by one."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ppocr_contract.settings import Settings

from ..files import MAX_SIDE, from_base64
from ..report import RequestError, stage
from . import ranges

#: MB of address space of a drawing process; PDFium with the largest page allowed takes half of it.
_MEGABYTES = 1000
_KEYS = {"data", "pages", "dpi", "pictures"}
_LINE = 100_000  # bytes: no line of the drawing process is longer
_BEGINNING = 1028  # bytes PDFium looks for a PDF's first line in
#: Bytes of a drawn pixel: in the drawing process, and in this one.
PIXEL_BYTES = 6
_ROUNDING = 1.01  # of pixels: the drawing process rounds up
#: How the drawing process ends when it takes more CPU or memory than it may.
_CUT_OFF = (-signal.SIGXCPU, -signal.SIGKILL)
#: Drawing is short beside reading, and takes memory: two PDFs at a time in a worker.
_places = threading.BoundedSemaphore(2)


@dataclasses.dataclass(frozen=True)
class Order:
    """One PDF of a request.

    Attributes:
        data: the file.
        pages: which pages, as :mod:`.ranges` reads it; empty for all.
        dpi: pixels of an inch.
        pictures: whether the answer is to hold pictures of the pages.
    """

    data: bytes
    pages: str
    dpi: int
    pictures: bool


@dataclasses.dataclass(frozen=True)
class Page:
    """A page: its number from 1, and its pixels (BGR, uint8, (H, W, 3)) or why there are none."""

    number: int
    content: np.ndarray | RequestError


@dataclasses.dataclass(frozen=True)
class Coming:
    """A page is drawn and its pixels come next; ``size`` is the bytes they take, here and there."""

    size: int


def _refusal(message: str, http: int = 422) -> RequestError:
    return RequestError(message, "pdf", http)


def read_order(entry: object, limits: Settings) -> Order:
    """What a client asks for: a base64 string, or an object with ``data`` and more.

    Raises:
        RequestError: an entry of another form, bad base64, or a value that cannot be.
    """
    given: Any = {"data": entry} if isinstance(entry, str) else entry
    if not isinstance(given, dict) or not isinstance(given.get("data"), str):
        raise RequestError('pdfs: each must be a base64 string, or {"data": base64, ...}', "pdf")
    if unknown := sorted(set(given) - _KEYS):
        names = ", ".join(name[:40] for name in unknown)
        known = ", ".join(sorted(_KEYS))
        raise RequestError(f"pdfs: unknown key {names}: known are {known}", "key")
    pages, dpi = given.get("pages", ""), given.get("dpi", limits.pdf_dpi)
    try:
        if not isinstance(pages, str):
            raise ranges.RangeError('pages are chosen like "1-3,7,10-"')
        if pages:
            ranges.parse(pages)
    except ranges.RangeError as error:
        raise RequestError(f"pdfs: {error}", "pdf") from error
    if not isinstance(dpi, int) or isinstance(dpi, bool) or not 1 <= dpi <= limits.pdf_dpi_limit:
        raise RequestError(
            f"pdfs: dpi is a whole number from 1 to {limits.pdf_dpi_limit} "
            "(hubserving_pdf_dpi_limit)",
            "pdf",
        )
    if not isinstance(given.get("pictures", False), bool):
        raise RequestError("pdfs: pictures is true or false", "pdf")
    return Order(from_base64(given["data"], "pdfs"), pages, dpi, given.get("pictures", False))


def _explained(told: dict[str, Any], order: Order, most: int, limits: Settings) -> RequestError:
    """The client's words for an ``error`` of the drawing process."""
    kind = told["error"]
    if kind == "locked":
        return _refusal("the PDF asks for a password")
    if kind == "range":
        return _refusal(str(told["message"]))
    if kind == "pages":
        return _refusal(
            f"of its {told['total']} pages more than the {most} left of "
            f"{limits.pdf_pages_limit} a request (hubserving_pdf_pages_limit) were asked for: "
            'choose some, such as "pages": "1-3"',
            413,
        )
    if kind == "pixels":
        return _refusal(
            f"{told['width']} x {told['height']} pixels at {order.dpi} dpi are more than the "
            f"{limits.pixels_limit} million allowed (hubserving_pixels_limit, or what "
            "hubserving_memory_limit has room for): ask for fewer dpi",
            413,
        )
    if kind == "ended" and told["status"] in _CUT_OFF:
        return _refusal(
            f"drawing took more than {limits.pdf_timeout} s of a CPU (hubserving_pdf_timeout), "
            "or all memory"
        )
    return _refusal("the PDF is damaged, or too complex to be drawn")


class _Drawing:
    """A rendering process and its output."""

    def __init__(self, order: Order, most: int, limits: Settings) -> None:
        wanted = {
            "pages": order.pages,
            "dpi": order.dpi,
            "most": most,
            "pixels": limits.pixels,
            "side": MAX_SIDE,
            "seconds": limits.pdf_timeout,
            "megabytes": _MEGABYTES,
            "parent": os.getpid(),
        }
        self._limits = limits
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ppocr_serving.pdf.draw", json.dumps(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # None of the service's settings; our package is found without the image's own paths.
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.defpath},
        )
        assert self._process.stdin and self._process.stdout
        self._out: IO[bytes] = self._process.stdout
        # It reads all before it writes; where it is gone already, reading tells.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as file:
            file.write(order.data)

    def client_status(self) -> dict[str, Any]:
        """The next line; ``{"error": "ended"}`` when the process ended before it."""
        line = self._out.readline(_LINE)
        if not line.endswith(b"\n"):
            return self._ended()
        message: dict[str, Any] = json.loads(line)
        return message

    def _ended(self) -> dict[str, Any]:
        # Its end was seen, or it writes what it should not: either way nothing more is read.
        self._process.kill()
        self._out.close()
        self._out = io.BytesIO()
        return {"error": "ended", "status": self._process.wait()}

    def pixels(self, width: int, height: int) -> np.ndarray | dict[str, Any]:
        """The pixels of the page that :meth:`told` the size of, or its ``error``."""
        if width * height > _ROUNDING * self._limits.pixels:
            return self._ended()  # it should have refused this size: do not trust it
        image = np.empty((height, width, 3), np.uint8)
        rest = image.data.cast("B")
        while rest:
            size = self._out.readinto(rest)  # type: ignore[attr-defined]
            if not size:
                return self._ended()
            rest = rest[size:]
        return image

    def end(self) -> None:
        self._process.kill()
        self._out.close()
        self._process.wait()


def pages(order: Order, most: int, limits: Settings) -> Iterator[Page]:
    """Each requested page, rendered while the ones before are read.

    Args:
        order: what the client asked for.
        most: pages that may still be drawn for this request.
        limits: of the service.

    Raises:
        RequestError: the PDF cannot be opened, or too many pages are asked for. What is wrong with
            a page is reported in its place.
    """
    return (page for page in announced(order, most, limits) if isinstance(page, Page))


def announced(order: Order, most: int, limits: Settings) -> Generator[Page | Coming]:
    """:func:`pages`, each announced with the memory it takes before that is allocated."""
    if b"%PDF" not in order.data[:_BEGINNING]:  # seen without a process to find it out
        raise _refusal("the PDF is damaged: it does not begin as one")
    with _places, contextlib.ExitStack() as stack:
        with stage("draw"):
            drawing = _Drawing(order, most, limits)
            stack.callback(drawing.end)
            opened = drawing.client_status()
        if "error" in opened:
            raise _explained(opened, order, most, limits)
        for number in opened["pages"]:
            with stage("draw"):
                drawn: Any = drawing.client_status()
            if "error" not in drawn:
                width, height = drawn["width"], drawn["height"]
                yield Coming(width * height * PIXEL_BYTES)
                with stage("draw"):
                    drawn = drawing.pixels(width, height)
            if isinstance(drawn, np.ndarray):
                yield Page(number, drawn)
            else:
                yield Page(number, _explained(drawn, order, most, limits))
