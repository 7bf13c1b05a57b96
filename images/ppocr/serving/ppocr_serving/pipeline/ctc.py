"""From the output of a recognition model for each step to characters (CTC, Graves et al., 2006)."""

from __future__ import annotations

import cv2
import numpy as np

#: The class that stands for no character.
BLANK = 0
#: How many other classes of a character are reported.
CHOICES = 5
_LEAST = 1e-12  # probability; a logarithm needs more than 0


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


def second_choices(
    line: np.ndarray, columns: np.ndarray, logits: bool
) -> list[list[tuple[int, float]]]:
    """Which other classes the characters of a line were read as, and how much less surely.

    Args:
        line: float32 (steps, classes), probabilities or logits.
        columns: at which steps its characters begin.
        logits: which of the two.

    Returns:
        For each character its :data:`CHOICES` likeliest other classes, without the blank, each with
        the logarithm, to the base of ten, of its probability beside that of the class that was
        read; of the step where that is surest.
    """
    best = line.argmax(axis=1)
    found = []
    for column in columns:
        end = column + 1
        while end < len(best) and best[end] == best[column]:
            end += 1
        step = line[column + line[column:end, best[column]].argmax()]
        behind = step * np.log10(np.e) if logits else np.log10(np.maximum(step, _LEAST))
        behind = behind - behind[best[column]]
        behind[[BLANK, best[column]]] = -np.inf
        likeliest = np.argpartition(behind, -CHOICES)[-CHOICES:]
        found.append([(int(index), float(behind[index])) for index in likeliest])
    return found


def first_of_each(steps: np.ndarray) -> np.ndarray:
    """At which steps a character begins: of the same class one after another, one is read.

    Args:
        steps: the likeliest class of each step, int64 (steps,).
    """
    begins: np.ndarray = steps != BLANK
    begins[1:] &= steps[1:] != steps[:-1]
    return begins
