"""The result of recognising one line."""

from __future__ import annotations

from typing import NamedTuple


class Reading(NamedTuple):
    """The text of a line, and its confidence.

    Attributes:
        characters: one by one, where their places were asked for.
        places: of their middles along the line, from 0 to 1.
        choices: for each character what else it was read as, and by how many powers of ten less
            surely (below 0), where that was asked for.
    """

    text: str = ""
    confidence: float = 0.0
    characters: tuple[str, ...] = ()
    places: tuple[float, ...] = ()
    choices: tuple[dict[str, float], ...] = ()
