"""Which Chinese characters sound or look alike: where text_correction has its candidates from.

Made from the readings, four-corner codes and strokes of the package char-similar (MIT).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import combinations
from typing import Any

#: Characters beyond these are too rare to be meant.
MOST = 4000
#: The files of the package that the table is made from, by their names in it.
TABLES = ("frequency", "pinyin", "fourangle", "order")
#: How alike two shapes are at least, from 0 to 1.
_LEAST = 0.7
#: Strokes that one character may have more than the other.
_STROKES = 3
#: Digits of a four-corner code; a fifth tells characters with the same ones apart.
_CORNERS = 4
#: How ``order`` writes strokes: horizontal, vertical, falling to the left, dot, turning.
_KINDS = "12345"
#: What speakers of many dialects do not tell apart.
_INITIALS = {"zh": "z", "ch": "c", "sh": "s", "l": "n"}

Alike = dict[str, dict[str, Any]]


def table(data: Mapping[str, Mapping[str, Any]]) -> Alike:
    """By character: ``same``, ``syllable`` and ``near`` (texts of characters that sound like it, in
    the same tone, in another, nearly) and ``shape`` (how alike, from 0 to 1, by character).

    Args:
        data: the tables of the package by the names in :data:`TABLES`.
    """
    frequency, order = data["frequency"], data["order"]
    known = sorted((c for c in frequency if c in order), key=lambda c: (-frequency[c], c))[:MOST]
    alike: Alike = {character: {"shape": {}} for character in known}
    for one, other, share in _shapes(known, data["fourangle"], order):
        alike[one]["shape"][other] = alike[other]["shape"][one] = share
    for kind, groups in _sounds(known, data["pinyin"]).items():
        for group in groups:
            for character in group:
                found = alike[character]
                seen = "".join(found.get(closer, "") for closer in ("same", "syllable"))
                found[kind] = "".join(c for c in group if c != character and c not in seen)
    return alike


def _sounds(known: list[str], readings: Mapping[str, list[str]]) -> dict[str, list[list[str]]]:
    """Groups of characters that sound the same, closest first."""
    groups: dict[str, dict[Any, list[str]]] = {
        kind: defaultdict(list) for kind in ("same", "syllable", "near")
    }
    for character in known:
        if character in readings:
            syllable, initial, final, tone = readings[character]
            groups["same"][syllable, tone].append(character)
            groups["syllable"][syllable].append(character)
            near = _INITIALS.get(initial, initial), final.removesuffix("g")
            groups["near"][near].append(character)
    return {kind: list(found.values()) for kind, found in groups.items()}


def _shapes(
    known: list[str], corners: Mapping[str, str], order: Mapping[str, str]
) -> Iterator[tuple[str, str, float]]:
    """Pairs of characters that look alike: the mean of what they share of corners and strokes."""
    matcher = SequenceMatcher(autojunk=False)
    kinds = {c: [order[c].count(stroke) for stroke in _KINDS] for c in known}
    for one, other in sorted(_sharing(known, corners)):
        strokes = len(order[one]) + len(order[other])
        if abs(len(order[one]) - len(order[other])) > _STROKES:
            continue
        same = sum(map(str.__eq__, corners[one][:_CORNERS], corners[other][:_CORNERS])) / _CORNERS
        least = 2 * _LEAST - same
        # At most as alike as in any order: a ratio takes a hundred times as long.
        if 2 * sum(map(min, kinds[one], kinds[other])) < least * strokes:
            continue
        matcher.set_seqs(order[one], order[other])
        if (share := matcher.ratio()) >= least:
            yield one, other, round((same + share) / 2, 2)


def _sharing(known: list[str], corners: Mapping[str, str]) -> set[tuple[str, str]]:
    """Pairs that share two corners, which is the least that alike ones do."""
    groups = defaultdict(list)
    for character in known:
        for first, second in combinations(range(_CORNERS), 2):
            shared = corners[character][first], corners[character][second]
            groups[first, second, shared].append(character)
    return {pair for group in groups.values() for pair in combinations(sorted(group), 2)}
