"""Lines in batches of like width, as PaddleOCR groups them (predict_rec.py, predict_cls.py)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np


def aspect(line: np.ndarray) -> float:
    """Width over height."""
    return line.shape[1] / float(line.shape[0])


def by_width(lines: list[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Indices into ``lines``, at most ``size`` at a time, from the narrowest to the widest."""
    order = np.argsort(np.array([aspect(line) for line in lines]))
    for start in range(0, len(lines), size):
        yield order[start : start + size]


def scaled_width(line: np.ndarray, height: int, width: int) -> int:
    """How wide a line scaled to ``height`` is: ``width`` at most."""
    return min(width, math.ceil(height * aspect(line)))


def resize_and_pad(line: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale a line to ``height``, at most ``width`` wide; pad to it.

    Takes BGR uint8 (h, w, 3); returns float32 (3, height, width) in -1..1, zero where padded.
    """
    taken = scaled_width(line, height, width)
    scaled = cv2.resize(line, (taken, height)).astype(np.float32)
    padded = np.zeros((3, height, width), np.float32)
    padded[:, :, :taken] = (scaled.transpose(2, 0, 1) / 255 - 0.5) / 0.5
    return padded
