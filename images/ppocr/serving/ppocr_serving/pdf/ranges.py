"""Which pages of a PDF a client wants: "1-3,7,10-"."""

from __future__ import annotations

import re

_PART = re.compile(r"(\d{1,6})(-(\d{1,6})?)?")
#: Parts of one choice; nobody needs more, and each costs time.
_MOST_PARTS = 100


class RangeError(ValueError):
    """The text names no pages, or pages the PDF does not have; the message says which."""


def parse(text: str) -> list[tuple[int, int | None]]:
    """(first, last) of each part, counted from 1; last is None where the range is open.

    Raises:
        RangeError: not a list of pages and ranges of pages.
    """
    parts = text.replace(" ", "").split(",")
    if len(parts) > _MOST_PARTS:
        raise RangeError(f"more than {_MOST_PARTS} ranges of pages")
    ranges = []
    for part in parts:
        match = _PART.fullmatch(part)
        first = int(match[1]) if match else 0
        last = (int(match[3]) if match[3] else None) if match and match[2] else first
        if first < 1 or (last is not None and last < first):
            raise RangeError('pages are chosen like "1-3,7,10-"')
        ranges.append((first, last))
    return ranges


def choose(text: str, total: int, most: int) -> list[int]:
    """Numbers of the pages to render, in the requested order; all of them if ``text`` is empty.

    Args:
        text: as the client sent it.
        total: pages of the PDF.
        most: pages that may be drawn.

    Raises:
        RangeError: a page the PDF does not have, or no sound choice.
        OverflowError: more than ``most`` pages.
    """
    chosen: list[int] = []
    for first, last in parse(text) if text else [(1, None)]:
        end = total if last is None else last
        if not first <= end <= total:
            raise RangeError(f"the PDF has {total} pages, {max(first, end)} was asked for")
        if len(chosen) + end - first + 1 > most:
            raise OverflowError
        chosen += range(first, end + 1)
    return chosen
