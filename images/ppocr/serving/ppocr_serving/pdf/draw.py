"""Draws pages of one PDF: run as a process of its own, which a hostile PDF may take down.

    python -m ppocr_serving.pdf.draw '{"pages": "1-3", "dpi": 200, ...}' < file.pdf

PDFium reads the file, since it is small, has no dependency, and its licence (BSD) suits an image
that is passed on. It is a C++ parser and single-threaded: here neither a fault of its nor a PDF
that unpacks for ever reaches a worker. The process bounds itself, by CPU time and memory.

It writes one line of JSON: ``{"total": pages, "pages": [numbers]}`` or ``{"error": why}``; then a
line for each page: ``{"error": why}``, or ``{"width": w, "height": h}`` followed by its pixels
(BGR, w * h * 3 bytes). ``why`` is one of the words below, with what belongs to it.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import sys
from typing import Any, BinaryIO

from ..processes import end_before_others, end_with_parent
from . import ranges

_POINTS = 72  # of an inch: a PDF's unit


def bound(seconds: int, megabytes: int) -> None:
    """Let the kernel end this process when it takes more, and before any other process here."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (megabytes * 1_000_000,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    end_before_others(1000)


def _tell(out: BinaryIO, **message: Any) -> None:
    out.write(json.dumps(message).encode() + b"\n")


def _pixels(points: tuple[float, float], dpi: int) -> tuple[int, int]:
    """Width and height of a page in pixels; (0, 0) if its size is nonsense."""
    if not all(map(math.isfinite, points)):
        return 0, 0
    width, height = (math.ceil(length * dpi / _POINTS) for length in points)
    return width, height


def _draw_page(document: Any, number: int, order: dict[str, Any], out: BinaryIO) -> None:
    page = document[number - 1]
    width, height = _pixels(page.get_size(), order["dpi"])
    if width < 1 or height < 1:
        _tell(out, error="damaged")
        return
    if width * height > order["pixels"] or max(width, height) > order["side"]:
        _tell(out, error="pixels", width=width, height=height)
        return
    from pypdfium2 import raw

    bitmap = page.render(
        scale=order["dpi"] / _POINTS, force_bitmap_format=raw.FPDFBitmap_BGR, limit_image_cache=True
    )
    row = bitmap.width * 3
    _tell(out, width=bitmap.width, height=bitmap.height)
    with memoryview(bitmap.buffer).cast("B") as data:
        for start in range(0, bitmap.stride * bitmap.height, bitmap.stride):
            out.write(data[start : start + row])
    bitmap.close()
    page.close()


def draw(data: bytes, order: dict[str, Any], out: BinaryIO) -> None:
    """Write the pages ``order`` asks for to ``out``, as the module says."""
    # After the limits: loading the library counts too.
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
        document.init_forms()
        total = len(document)
        chosen = ranges.choose(order["pages"], total, order["most"])
    except pypdfium2.PdfiumError as error:
        locked = error.err_code in (
            pypdfium2.raw.FPDF_ERR_PASSWORD,
            pypdfium2.raw.FPDF_ERR_SECURITY,
        )
        _tell(out, error="locked" if locked else "damaged")
        return
    except ranges.RangeError as error:
        _tell(out, error="range", message=str(error))
        return
    except OverflowError:
        _tell(out, error="pages", total=total)
        return
    if not chosen:
        _tell(out, error="damaged")
        return
    _tell(out, total=total, pages=chosen)
    out.flush()  # what comes may be the end of this process
    for number in chosen:
        try:
            _draw_page(document, number, order, out)
        except (pypdfium2.PdfiumError, MemoryError):
            _tell(out, error="damaged")
        out.flush()


def main() -> None:
    order = json.loads(sys.argv[1])
    end_with_parent(order["parent"])
    bound(order["seconds"], order["megabytes"])
    with contextlib.suppress(BrokenPipeError):
        draw(sys.stdin.buffer.read(), order, sys.stdout.buffer)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
