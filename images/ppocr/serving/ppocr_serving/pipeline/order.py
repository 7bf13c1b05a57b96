"""The order in which a person reads the lines of a page."""

from __future__ import annotations

import numpy as np

_SAME_LINE = 10  # pixels: boxes whose tops differ by less stand on one line


def reading_order(boxes: np.ndarray) -> np.ndarray:
    """Sort boxes (N, 4, 2) from top to bottom, boxes on one line from left to right.

    The order of PaddleOCR's ``sorted_boxes``: by the first corner, then neighbours on one line
    are swapped until their x ascends.
    """
    ordered = sorted(boxes, key=lambda box: (box[0][1], box[0][0]))
    for end in range(1, len(ordered)):
        for right in range(end, 0, -1):
            left_box, right_box = ordered[right - 1][0], ordered[right][0]
            if abs(right_box[1] - left_box[1]) >= _SAME_LINE or right_box[0] >= left_box[0]:
                break
            ordered[right - 1], ordered[right] = ordered[right], ordered[right - 1]
    return np.array(ordered, np.float32).reshape(-1, 4, 2)
