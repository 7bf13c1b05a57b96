"""Whether half the scale shows all of a page: its letters are large, and nothing else is on it.

Detection takes as long as there are pixels, and half the scale has a quarter of them. What is small
there may not be found, so a page counts as searched only if there is nothing small on it.
"""

from __future__ import annotations

import cv2
import numpy as np

_LEAST_SIDE = 320  # pixels of the shorter side: less takes little time anyway
_LEAST_HEIGHT = 24  # pixels, before halving, of the lowest line
#: Of a line's height: what belongs to its letters may be so far outside of its box.
_AROUND = 0.25
#: How much the lightest and the darkest of neighbouring pixels differ where there may be text,
#: and how many such pixels are not text yet: the faintest small letter has more.
_CONTRAST, _FEW = 12, 12
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def is_worthwhile(height: int, width: int) -> bool:
    """Whether a page of that size takes long enough."""
    return min(height, width) >= _LEAST_SIDE


def _heights(boxes: np.ndarray) -> np.ndarray:
    sides = np.linalg.norm(boxes[:, [1, 3]] - boxes[:, [0]], axis=2)
    shorter: np.ndarray = sides.min(axis=1)
    return shorter


def shows_all(page: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether ``boxes``, found at half the scale, are all lines of a page.

    Args:
        page: uint8 (h, w, 3), at the scale before halving.
        boxes: float32 (N, 4, 2), in pixels of ``page``.
    """
    if not len(boxes):
        return False
    heights = _heights(boxes)
    if heights.min() < _LEAST_HEIGHT:
        return False
    detail = cv2.morphologyEx(page, cv2.MORPH_GRADIENT, _NEIGHBOURS).max(axis=2)
    for box, height in zip(np.round(boxes).astype(np.int32), heights, strict=True):
        cv2.fillPoly(detail, [box], 0)
        cv2.polylines(detail, [box], isClosed=True, color=0, thickness=round(2 * _AROUND * height))
    return int((detail > _CONTRAST).sum()) <= _FEW
