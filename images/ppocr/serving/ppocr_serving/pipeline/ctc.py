"""From what a recognition model says of each step to characters (CTC, Graves et al., 2006)."""

from __future__ import annotations

import cv2
import numpy as np

#: The class that stands for no character.
BLANK = 0


def best_characters(output: np.ndarray, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest class of each step, and how likely it is.

    Args:
        output: float32 (N, steps, classes), probabilities or logits.
        logits: which of the two. The softmax is then computed for steps with a character only,
            a fifth of all; the others get 0.

    Returns:
        int64 (N, steps) and float32 (N, steps).
    """
    best, sure = output.argmax(axis=2), output.max(axis=2)
    if not logits:
        return best, sure
    shown = best != BLANK
    rows = output[shown] - sure[shown][:, None]
    sure = np.zeros_like(sure)
    if len(rows):
        sure[shown] = 1 / cv2.exp(rows).sum(axis=1)
    return best, sure


def first_of_each(steps: np.ndarray) -> np.ndarray:
    """At which steps a character begins: of the same class one after another, one is read.

    Args:
        steps: the likeliest class of each step, int64 (steps,).
    """
    begins: np.ndarray = steps != BLANK
    begins[1:] &= steps[1:] != steps[:-1]
    return begins
