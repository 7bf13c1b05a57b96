"""Tiles of a strip: what is too long for one inference, in pieces that overlap."""

from __future__ import annotations

from collections.abc import Iterator

#: Of the network's input, pixels: the length of a tile, and what two neighbours see of each other.
TILE = 960
SHARED = 256


def tiles(length: int, tile: int = TILE) -> Iterator[tuple[slice, slice]]:
    """For each tile of a strip: what it sees, and what is taken of it, from where on.

    Of what two neighbours see, half is taken from each; a later tile's part replaces an earlier
    one's, so that all of the strip is taken once.

    Args:
        length: of the strip, in pixels.
        tile: length of a tile, more than two neighbours share.
    """
    last = max(0, length - tile)
    for start in [*range(0, last, tile - SHARED), last]:
        end = min(start + tile, length)
        yield slice(start, end), slice(start + (SHARED // 2 if start else 0), end)
