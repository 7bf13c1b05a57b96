"""The PDFs of a request: from what the client sent to results, one a page."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterator
from typing import Any

import cv2
import numpy as np

from ppocr_contract.settings import Settings

from ..memory import Room
from ..report import Report, RequestError
from .pages import PIXEL_BYTES, Coming, Order, Page, announced, read_order

#: Pages read side by side; fewer where they are large.
_AT_ONCE = 4
#: A picture of a page, for people: its longer side in pixels, and the quality of its JPEG.
_PICTURE_SIDE = 1600
_PICTURE_QUALITY = 80
_MEGA = 1_000_000

Predict = Callable[[list[np.ndarray]], list[Any]]


def read_orders(entries: object, limits: Settings, reads_pages: bool = True) -> list[Order]:
    """The order for each of a request's PDFs.

    Raises:
        RequestError: no list, too many, an entry of another form, or a module that reads lines.
    """
    if not reads_pages:
        raise RequestError("pdfs: ocr_system and ocr_det read pages, this module lines", "key")
    if not limits.pdf_pages_limit:
        raise RequestError("pdfs: not served here (hubserving_pdf_pages_limit is 0)", "key")
    if not isinstance(entries, list) or not entries:
        raise RequestError("pdfs must be a list of at least one base64 string", "pdf")
    if len(entries) > limits.pdf_pages_limit:
        raise RequestError(
            f"{len(entries)} PDFs are more than {limits.pdf_pages_limit} pages of one request "
            "(hubserving_pdf_pages_limit)",
            "pdf",
            413,
        )
    return [read_order(entry, limits) for entry in entries]


def _picture(image: np.ndarray) -> str:
    """A JPEG of the page as a data URL."""
    scale = _PICTURE_SIDE / max(image.shape[:2])
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _PICTURE_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _size(page: Page) -> int:
    """Pixels of a page; 0 for one that could not be drawn."""
    if isinstance(page.content, RequestError):
        return 0
    return page.content.shape[0] * page.content.shape[1]


def _groups(
    found: Iterator[Page | Coming],
    pixels: int,
    room: Room | None = None,
    until: float | None = None,
) -> Generator[list[Page]]:
    """Pages to read side by side: what is held at once is less than twice ``pixels``.

    A group is emptied when the next one is asked for: its pages go before others take their room.

    Where the room for pictures has none left, those that are there are read first.
    """
    group: list[Page] = []
    taken = 0
    try:
        for page in found:
            if isinstance(page, Coming):
                if room is None:
                    continue
                if not room.try_take(page.size):
                    if group:
                        yield group
                        group.clear()
                    room.give_back(taken)
                    taken = 0
                    room.take(page.size, until)
                taken += page.size
                continue
            group.append(page)
            if len(group) == _AT_ONCE or sum(map(_size, group)) >= pixels:
                yield group
                group.clear()
                if room is not None:
                    room.give_back(taken)
                    taken = 0
        if group:
            yield group
    finally:
        if room is not None:
            room.give_back(taken)


def _about(number: int, page: Page, order: Order) -> dict[str, Any]:
    """What the answer says of a page besides its lines."""
    about: dict[str, Any] = {"pdf": number, "page": page.number}
    if isinstance(page.content, np.ndarray):
        height, width = page.content.shape[:2]
        about |= {"width": width, "height": height}
        if order.pictures:
            about["picture"] = _picture(page.content)
    return about


def _read(number: int, pages_: list[Page], predict: Predict, report: Report) -> list[Any]:
    """Results of some pages of a PDF, an empty one for what could not be drawn or read."""
    images = [page.content for page in pages_ if isinstance(page.content, np.ndarray)]
    report.pixels += sum(map(_size, pages_))
    answers = iter(predict(images) if images else [])
    results: list[Any] = []
    for page in pages_:
        result = next(answers) if isinstance(page.content, np.ndarray) else page.content
        if isinstance(result, RequestError):
            report.unreadable[f"pdfs[{number}] page {page.number}"] = result
            result = []
        results.append(result)
    report.count_lines(results)
    return results


def answer(
    orders: list[Order],
    predict: Predict,
    report: Report,
    limits: Settings,
    room: Room | None = None,
    until: float | None = None,
) -> list[Any]:
    """Results of every page in order; a PDF that cannot be opened has one, empty, in its place.

    What is wrong with a PDF or a page, and which page each result is of, goes into the report.

    Args:
        orders: what the client asked for.
        predict: results of images, with a RequestError for each that cannot be read.
        report: of the request.
        limits: of the service.
        room: where pages wait until there is memory for them.
        until: when they wait no longer; see :meth:`~ppocr_serving.memory.Room.patience`.
    """
    results: list[Any] = []
    left = limits.pdf_pages_limit
    if room is not None:
        most = max(1, room.total // PIXEL_BYTES // _MEGA)
        limits = dataclasses.replace(limits, pixels_limit=min(limits.pixels_limit, most))
    for number, order in enumerate(orders):
        with contextlib.closing(announced(order, left, limits)) as drawn:
            try:
                with contextlib.closing(_groups(drawn, limits.pixels, room, until)) as groups:
                    for group in groups:
                        left -= len(group)
                        report.images += len(group)
                        report.pages += [_about(number, page, order) for page in group]
                        results += _read(number, group, predict, report)
            except RequestError as error:
                report.images += 1
                report.unreadable[f"pdfs[{number}]"] = error
                report.pages.append({"pdf": number, "page": None})
                results.append([])
    return results
