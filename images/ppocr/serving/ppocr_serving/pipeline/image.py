"""From a request's base64 to pixels, and from a page to the pictures of its lines."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from rapidocr.utils.process_img import get_rotate_crop_image


def decode_image(encoded: str) -> np.ndarray | None:
    """Decode a base64 image file to BGR, uint8 (H, W, 3); None where it is no image.

    Raises:
        ValueError: not base64, or not a string.
    """
    if not isinstance(encoded, str):
        raise ValueError("images: each image must be a base64 string")
    try:
        data = base64.b64decode(encoded)
    except ValueError as error:
        raise ValueError(f"images: not base64: {error}") from error
    if not data:
        return None
    image: np.ndarray | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return image


def crop_line(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The picture of one line, made upright: BGR, uint8 (h, w, 3).

    ``box`` is float32 (4, 2), clockwise from top left, in pixels of ``image``.
    """
    line: np.ndarray = get_rotate_crop_image(image, box.astype(np.float32))
    return line
