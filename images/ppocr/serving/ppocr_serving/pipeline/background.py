"""The background for transparent parts of a picture, on which its text is legible."""

from __future__ import annotations

import cv2
import numpy as np

_GREY = (0.114, 0.587, 0.299)  # of BGR
#: White first: of two grounds that do equally well it is the one.
_GROUNDS = (255, 0, 128)
_ENOUGH = 1_000_000  # pixels
_VISIBLE = 64  # alpha, of 255: what is fainter says nothing about the colour of the text


def on_background(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Put a picture (BGR, uint8) with its ``alpha`` (uint8, (H, W)) on a ground, in place.

    Text is what borders on the transparent parts; nine tenths of those pixels must stand out.
    """
    if alpha.min() == 255:
        return image
    visible = (alpha >= _VISIBLE).view(np.uint8)
    hidden: np.ndarray = cv2.dilate(1 - visible, np.ones((3, 3), np.uint8))
    border = np.bitwise_and(visible, hidden)
    chosen = (border if border.any() else visible).view(bool).reshape(-1)
    # So many say enough: as floating-point numbers all pixels would take four times the picture.
    step = int(np.count_nonzero(chosen)) // _ENOUGH | 1
    shown = image.reshape(-1, 3)[::step][chosen[::step]]
    if not len(shown):  # nothing to be seen: as without alpha, which some programs leave at zero
        return image
    grey = np.sort(shown @ np.array(_GREY, np.float32))
    low = [np.sort(np.abs(grey - ground))[len(grey) // 10] for ground in _GROUNDS]
    ground = _GROUNDS[int(np.argmax(low))]
    for top in range(0, len(image), 256):
        rows = image[top : top + 256]
        share = alpha[top : top + 256, :, None].astype(np.uint16)
        rows[:] = (rows * share + ground * (255 - share) + 127) // 255
    return image
