"""Which characters may have been meant by another, and the cost of each substitution.

A cost is a logarithm to the base of ten, below 0, as the language model's probabilities are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

Candidates = Mapping[str, float]

#: By how it sounds: the same, in another tone, nearly the same.
_SOUND = {"same": -2.0, "syllable": -2.5, "near": -4.5}
#: Of the same shape, and of one that shares nothing.
_SHAPE, _NO_SHAPE = -1.5, -5.5
#: Which number is meant no language model knows.
_NUMERALS = frozenset("〇零一二三四五六七八九十百千万亿两")


def to_try(character: str, candidates: Candidates) -> Candidates:
    """Those of the candidates for a character that a finding may name."""
    return {
        each: cost
        for each, cost in candidates.items()
        # An entry of a dictionary may have no character, or several: no place would be right.
        if len(each) == 1 and not (character in _NUMERALS and each in _NUMERALS)
    }


class Alike:
    """Characters that sound or look alike.

    Args:
        path: the table that ``ppocr_control.images.alike`` makes.
    """

    def __init__(self, path: Path) -> None:
        table = json.loads(path.read_text(encoding="utf-8"))
        self._of = {
            character: to_try(character, _costs(kinds)) for character, kinds in table.items()
        }

    def of(self, character: str) -> Candidates:
        """Candidates for a character of a text, of which there is no picture."""
        return self._of.get(character, {})


def _costs(kinds: Mapping[str, Mapping[str, float] | str]) -> dict[str, float]:
    costs: dict[str, float] = {}
    for kind, cost in _SOUND.items():
        for character in kinds.get(kind, ""):
            costs.setdefault(character, cost)
    shapes = kinds["shape"]
    assert isinstance(shapes, Mapping)
    for character, share in shapes.items():
        cost = _SHAPE + (1 - share) * (_NO_SHAPE - _SHAPE)
        costs[character] = max(cost, costs.get(character, cost))
    return costs
