"""Whether half the scale shows all of a page: its letters are large, and nothing else is on it.

Detection takes as long as there are pixels, and half the scale has a quarter of them. What is small
or faint may not be found there, lines close to each other may be found as one, and so may texts
beside each other. So a page counts as searched only if there is nothing of that on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_LEAST_SIDE = 320  # pixels of the shorter side: less takes little time anyway
_LEAST_HEIGHT = 24  # pixels, before halving, of the lowest line
#: What belongs to a line's letters may be so far outside of its box: of its height, at most pixels.
_AROUND, _AROUND_MOST = 0.25, 8
#: How much the lightest and the darkest of neighbouring pixels differ where there may be text, and
#: where it may be faint; the latter counts out of reach of the traces JPEG leaves around letters.
_CONTRAST, _FAINT, _TRACES = 12, 3, 10
_FEW = 12  # such pixels are not text yet: the smallest letter has more
#: Of a line's height: a wider gap in it may part two texts, a narrower one between boxes may not.
_GAP, _NO_GAP = 0.7, 1.5
#: Of the edges in the rows above and below: with fewer, these may be two lines.
_VALLEY = 0.25
_EDGE = 0.3  # of a line's strongest edge
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def is_worthwhile(height: int, width: int) -> bool:
    """Whether a page of that size takes long enough."""
    return min(height, width) >= _LEAST_SIDE


def _heights(boxes: np.ndarray) -> np.ndarray:
    sides = np.linalg.norm(boxes[:, [1, 3]] - boxes[:, [0]], axis=2)
    shorter: np.ndarray = sides.min(axis=1)
    return shorter


def _in_any_colour(planes: Sequence[np.ndarray]) -> np.ndarray:
    most: np.ndarray = cv2.max(cv2.max(planes[0], planes[1]), planes[2])
    return most


def _detail(page: np.ndarray) -> np.ndarray:
    """How much each pixel's neighbours differ."""
    return _in_any_colour(
        [cv2.morphologyEx(one, cv2.MORPH_GRADIENT, _NEIGHBOURS) for one in cv2.split(page)]
    )


def _grown(box: np.ndarray, by: float) -> np.ndarray:
    """``box`` with its sides so many pixels further out."""
    across, down = (by * (box[at] - box[0]) / np.linalg.norm(box[at] - box[0]) for at in (1, 3))
    moved = (-across - down, across - down, across + down, down - across)
    grown: np.ndarray = box + np.array(moved)
    return grown


def _has_more(detail: np.ndarray, boxes: list[np.ndarray], least: float) -> bool:
    """Whether there is detail of so much contrast outside of the boxes."""
    outside = detail.copy()
    for box in boxes:
        cv2.fillPoly(outside, [np.round(box).astype(np.int32)], 0)
    return int(np.count_nonzero(outside > least)) > _FEW


def _may_be_one(boxes: np.ndarray, heights: np.ndarray) -> bool:
    """Whether two of the boxes stand beside each other as parts of one line do."""
    low, high = boxes.min(axis=1), boxes.max(axis=1)
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    height = np.minimum(heights[:, None], heights)
    beside = (shared[:, :, 1] > height / 2) & (-shared[:, :, 0] < _NO_GAP * height)
    np.fill_diagonal(beside, False)
    return bool(beside.any())


def _level(page: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The picture of a box, its longer sides made level."""
    width, height = (float(np.linalg.norm(box[at] - box[0])) for at in (1, 3))
    if height > width:
        box, width, height = np.roll(box, 1, axis=0), height, width
    size = round(width), round(height)
    corners = np.array([[0, 0], [size[0], 0], size, [0, size[1]]], np.float32)
    turn = cv2.getPerspectiveTransform(box.astype(np.float32), corners)
    line: np.ndarray = cv2.warpPerspective(page, turn, size, borderMode=cv2.BORDER_REPLICATE)
    return line


def _is_one_line(line: np.ndarray) -> bool:
    """Whether a line's picture has no second one above or below, and no wide gap."""
    across = _in_any_colour(cv2.split(cv2.absdiff(line[:, 1:], line[:, :-1])))[:-1]
    down = _in_any_colour(cv2.split(cv2.absdiff(line[1:], line[:-1])))[:, :-1]
    least = max(_CONTRAST, _EDGE * across.max())
    rows = (across > least).sum(axis=1)
    around = np.minimum(np.maximum.accumulate(rows), np.maximum.accumulate(rows[::-1])[::-1])
    inner = around > _VALLEY * rows.max()
    if (rows < _VALLEY * around)[inner].any():
        return False
    inked = np.flatnonzero((cv2.max(across, down) > least).any(axis=0))
    return bool(np.diff(inked).max(initial=0) <= _GAP * len(line))


def shows_all(page: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether ``boxes``, found at half the scale, are all lines of a page.

    Args:
        page: uint8 (h, w, 3), at the scale before halving.
        boxes: float32 (N, 4, 2), in pixels of ``page``, clockwise from top left.
    """
    if not len(boxes):
        return False
    heights = _heights(boxes)
    if heights.min() < _LEAST_HEIGHT or _may_be_one(boxes, heights):
        return False
    around = [
        _grown(box, min(_AROUND * height, _AROUND_MOST))
        for box, height in zip(boxes, heights, strict=True)
    ]
    detail = _detail(page)
    if _has_more(detail, around, _CONTRAST):
        return False
    if _has_more(detail, [_grown(box, _TRACES) for box in around], _FAINT):
        return False
    return all(_is_one_line(_level(page, box)) for box in around)
