"""Pages that lie on their side, or stand on their head: which way they are turned, and back.

No model of its own says it: the shape of the lines says whether a page lies on its side, the
direction of each of them on which.
"""

from __future__ import annotations

import numpy as np

#: A line so much higher than wide is turned by a quarter when it is cut out, anticlockwise.
TALL = 1.5


def is_tall(box: np.ndarray) -> bool:
    """Whether a line (4, 2) runs from top to bottom, or the other way."""
    across = max(np.linalg.norm(box[0] - box[1]), np.linalg.norm(box[2] - box[3]))
    down = max(np.linalg.norm(box[0] - box[3]), np.linalg.norm(box[1] - box[2]))
    return int(down) >= TALL * int(across)


def quarter_turns(boxes: np.ndarray, turned: list[bool]) -> int:
    """Quarter turns anticlockwise that put a page upright; most of its lines decide, by length.

    Args:
        boxes: of its lines, (N, 4, 2).
        turned: for each line, as it is cut out, whether it stands on its head.
    """
    weights = [float(np.ptp(box, axis=0).max()) for box in boxes]
    tall = sum(w if is_tall(box) else -w for box, w in zip(boxes, weights, strict=True)) > 0
    head = 0.0
    for box, weight, down in zip(boxes, weights, turned, strict=True):
        if is_tall(box) == tall:
            head += weight if down else -weight
    return (1 if tall else 0) + (2 if head > 0 else 0)


def turn_back(points: np.ndarray, turns: int, height: int, width: int) -> np.ndarray:
    """Where points (..., 2) of a page are in the picture it was before its quarter turns.

    Args:
        points: in pixels of the turned page.
        turns: as of :func:`quarter_turns`.
        height, width: of the picture, in pixels.
    """
    right, bottom = width - 1, height - 1
    x, y = points[..., 0], points[..., 1]
    places = {0: (x, y), 1: (right - y, x), 2: (right - x, bottom - y), 3: (y, bottom - x)}
    return np.stack(places[turns], axis=-1)
