"""Pictures so low that they are mostly one line, cut out without a margin.

A detector looks for a line on its ground, and finds pieces of one that fills the picture, or
nothing. Recognition reads such a picture as it is.
"""

from __future__ import annotations

import numpy as np

from .reading import Reading

_LOW = 96  # pixels of the shorter side
_SURE = 0.9  # of right readings of such pictures none was below 0.95
_UNSURE = 0.8  # what is read less surely is no text, however much of it there is


def may_be_one(image: np.ndarray) -> bool:
    """Whether the whole picture is read, too."""
    return min(image.shape[:2]) <= _LOW


def whole(image: np.ndarray) -> np.ndarray:
    """The box around a picture: float32 (4, 2), clockwise from top left."""
    bottom, right = image.shape[0] - 1, image.shape[1] - 1
    return np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float32)


def _one_row(boxes: np.ndarray, across: bool) -> bool:
    """Whether boxes (N, 4, 2) stand beside each other, along x or (not ``across``) along y."""
    places = boxes[:, :, 1 if across else 0]
    return len(boxes) == 0 or bool(places.min(axis=1).max() < places.max(axis=1).min())


def _letters(text: str) -> int:
    """Letters and digits: edges of a picture are easily taken for dots and strokes."""
    return sum(map(str.isalnum, text))


def is_one(picture: Reading, lines: list[Reading], boxes: np.ndarray, image: np.ndarray) -> bool:
    """Whether a picture is one line that detection cut up or did not find.

    Args:
        picture: what the whole picture says.
        lines: what the lines found in it say.
        boxes: of these lines, (N, 4, 2).
        image: the picture.
    """
    found = "".join(line.text for line in lines).replace(" ", "")
    text = picture.text.replace(" ", "")
    least = min((line.confidence for line in lines), default=0.0)
    if text == found or picture.confidence < _SURE or picture.confidence <= least:
        return False
    if _letters(text) < _letters(found) and least > _UNSURE:
        return False
    return _one_row(boxes, image.shape[1] >= image.shape[0])
