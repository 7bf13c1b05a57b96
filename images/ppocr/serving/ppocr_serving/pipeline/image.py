"""From a page to the pictures of its lines."""

from __future__ import annotations

import cv2
import numpy as np
from rapidocr.utils.process_img import get_rotate_crop_image

from ..memory import CUT_OUT
from ..report import RequestError

#: Pixels: cv2.warpPerspective takes no picture with a longer side.
_WARP_SIDE = 32_000
_SMALL = 1_000_000  # pixels: what is smaller may have as much as this
_AROUND = 4  # pixels that interpolation looks at beside a line


def crop_lines(image: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
    """The pictures of lines, as :func:`crop_line` gives them.

    Raises:
        RequestError: boxes (N, 4, 2) overlap so much that their pictures would not fit.
    """
    across = np.linalg.norm(boxes[:, 0] - boxes[:, 1], axis=1)
    down = np.linalg.norm(boxes[:, 0] - boxes[:, 3], axis=1)
    if (across * down).sum() > CUT_OUT * max(image.shape[0] * image.shape[1], _SMALL):
        raise RequestError(
            "the lines found in it overlap too much to be read: higher thresholds find fewer",
            "image",
            422,
        )
    return [crop_line(image, box) for box in boxes]


def crop_line(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The picture of one line, made upright: BGR, uint8 (h, w, 3).

    ``box`` is float32 (4, 2), clockwise from top left, in pixels of ``image``.
    """
    box = box.astype(np.float32)
    if max(image.shape[:2]) > _WARP_SIDE:
        image, box = _surroundings(image, box)
    line: np.ndarray = get_rotate_crop_image(image, box)
    return line


def _surroundings(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture that holds a line, and the line's box in it."""
    left, top = np.maximum(np.floor(box.min(axis=0)) - _AROUND, 0).astype(int)
    right, bottom = np.ceil(box.max(axis=0)).astype(int) + _AROUND
    part, box = image[top:bottom, left:right], box - np.array((left, top), np.float32)
    longest = max(part.shape[:2])
    if longest > _WARP_SIDE:  # one line that long: no model reads it at its full width
        height, width = part.shape[:2]
        scale = (min(1, _WARP_SIDE / width), min(1, _WARP_SIDE / height))
        size = tuple(int(side * by) for side, by in zip((width, height), scale, strict=True))
        part, box = cv2.resize(part, size), box * np.array(scale, np.float32)
    return part, box
