"""The words of a line, and where they stand: from the step at which each character was read."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .upright import is_tall

_WIDTH = 1.0  # of the distance characters mostly have: none reaches further to one side


@dataclasses.dataclass(frozen=True)
class Word:
    """A word: its box is (4, 2) in pixels, clockwise from the top left of the text."""

    text: str
    box: np.ndarray


def _alone(character: str) -> bool:
    """Whether a character is a word of its own: Chinese and Japanese are written without spaces."""
    hangul = "\uac00" <= character[:1] <= "\ud7a3"
    return not hangul and unicodedata.east_asian_width(character[:1] or " ") in "WF"


def spans(characters: Sequence[str], places: Sequence[float]) -> list[tuple[str, float, float]]:
    """Words of a line: text, and where it begins and ends, from 0 to 1.

    Args:
        characters: of the line, in order.
        places: of their middles, from 0 to 1.
    """
    if not characters:
        return []
    gaps = [after - before for before, after in pairwise(places)]
    width = _WIDTH * float(np.median(gaps)) if gaps else 1.0
    middles = [(before + after) / 2 for before, after in pairwise(places)]
    words: list[tuple[str, float, float]] = []
    open_word = False
    for index, (character, place) in enumerate(zip(characters, places, strict=True)):
        if character.isspace():
            open_word = False
            continue
        left = max(place - width, middles[index - 1] if index else 0.0)
        right = min(place + width, middles[index] if index < len(middles) else 1.0)
        if open_word and not _alone(character):
            text, left, _ = words.pop()
            words.append((text + character, left, right))
        else:
            words.append((character, left, right))
        open_word = not _alone(character)
    return words


def as_read(box: np.ndarray, turned: bool) -> np.ndarray:
    """Corners of a line, clockwise from the top left of its text.

    Args:
        box: of the line, (4, 2), clockwise from top left of the page.
        turned: whether it stands on its head when it is cut out.
    """
    return np.roll(box, -(is_tall(box) + 2 * turned), axis=0)


def words_of(corners: np.ndarray, characters: Sequence[str], places: Sequence[float]) -> list[Word]:
    """The words of a line whose corners are those of :func:`as_read`."""
    top, bottom = corners[1] - corners[0], corners[2] - corners[3]
    return [
        Word(
            text,
            np.array(
                [
                    corners[0] + left * top,
                    corners[0] + right * top,
                    corners[3] + right * bottom,
                    corners[3] + left * bottom,
                ],
                np.float32,
            ),
        )
        for text, left, right in spans(characters, places)
    ]
