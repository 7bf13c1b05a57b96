"""The likeliest segmentation of characters into words, some characters substituted.

A beam search through the lattice of all words that the characters, or their candidates, can be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .candidates import Candidates
from .language_model import LONGEST, LanguageModel

#: Paths that are kept at each position (beam width).
_BEAM = 6
#: Without a picture a substitution has to make a common word, of at least this probability: a rarer
#: one is mostly made of a name, which the model does not know. Its shortfall costs this many times.
_COMMON, _SHORTFALL = -4.5, 2.0


class Way(NamedTuple):
    """A path through the first characters.

    Attributes:
        score: logarithm of its probability, to the base of ten.
        text: what it reads there.
        state: of the language model.
    """

    score: float
    text: str
    state: Any


class _Word(NamedTuple):
    """A candidate word: where it ends, and the cost of its substitutions."""

    end: int
    text: str
    cost: float


def best(model: LanguageModel, text: str, candidates: Sequence[Candidates], pictured: bool) -> Way:
    """The likeliest reading of a text.

    Args:
        text: Chinese characters only.
        candidates: for each of them, what it may be taken for. In one word no more than one is.
        pictured: whether the candidates are what a recogniser saw in a picture.
    """
    ways: list[list[Way]] = [[] for _ in range(len(text) + 1)]
    ways[0] = [Way(0.0, "", model.start())]
    for place in range(len(text)):
        kept = sorted(ways[place], key=lambda way: -way.score)[:_BEAM]
        for word in _words(model, text, place, candidates) if kept else ():
            for way in kept:
                score, state = model.follow(way.state, word.text)
                total = way.score + score + word.cost
                if word.cost and not pictured:
                    total -= _SHORTFALL * max(_COMMON - score, 0.0)
                ways[word.end].append(Way(total, way.text + word.text, state))
    ended = (way._replace(score=way.score + model.end(way.state)) for way in ways[-1])
    return max(ended, key=lambda way: way.score)


def _words(
    model: LanguageModel, text: str, place: int, candidates: Sequence[Candidates]
) -> Iterator[_Word]:
    """Words that may begin at a place; an unknown character is one by itself."""
    yield _Word(place + 1, text[place], 0.0)
    # Text, cost, and whether one of its characters is taken for another.
    begun: list[tuple[str, float, bool]] = [("", 0.0, False)]
    for end in range(place, min(place + LONGEST, len(text))):
        longer = []
        for word, cost, altered in begun:
            longer.append((word + text[end], cost, altered))
            if not altered:
                longer += [(word + c, cost + price, True) for c, price in candidates[end].items()]
        begun = [one for one in longer if one[0] in model.beginnings]
        for word, cost, altered in begun:
            if word in model.words and (altered or end > place):
                yield _Word(end + 1, word, cost)
