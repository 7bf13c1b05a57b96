"""Lines found at two scales of one picture: whole lines take the place of their pieces.

At a scale that shows small print a detector takes very large letters for pieces: words, or single
strokes. At a smaller one it sees them as the line they are, and no longer sees the small print.
"""

from __future__ import annotations

import numpy as np

_INSIDE = 0.5  # of a box's area: it lies in another one
_SAME_ROW = 0.5  # of a line's height: what is lower may be a line of its own
_LINES = 0.3  # of a line's area: so much of what is lower are lines, less are dots and strokes
_SAME_LENGTH = 0.9  # a single piece as long as the line is the line, and its corners are truer
#: Likewise a low one, since the smaller scale shows small print as something far larger.
_NEARLY_SAME_LENGTH = 0.6


def _overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Area that upright bounds of ``box`` share with those of each of the others."""
    low = np.maximum(box.min(axis=0), others.min(axis=1))
    high = np.minimum(box.max(axis=0), others.max(axis=1))
    return np.prod(np.maximum(high - low, 0), axis=1)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.maximum(np.prod(boxes.max(axis=1) - boxes.min(axis=1), axis=1), 1)


def whole_lines(fine: np.ndarray, coarse: np.ndarray, least: float) -> np.ndarray:
    """The lines of ``fine``, with those of ``coarse`` in the place of their pieces.

    Args:
        fine: boxes (N, 4, 2) found at the larger scale.
        coarse: boxes (M, 4, 2) found at the smaller one, in the same picture's pixels.
        least: height in pixels from which on a line of ``coarse`` is believed.
    """
    extents, area = np.ptp(fine, axis=1), _area(fine)
    kept = np.ones(len(fine), bool)
    added = []
    for line, size in zip(coarse, _area(coarse), strict=True):
        along = int(np.ptp(line, axis=0).argmax())
        length, height = np.ptp(line, axis=0)[[along, 1 - along]]
        if height < least:
            continue
        shared = _overlap(line, fine)
        pieces = kept & (shared > _INSIDE * area)
        if not pieces.any():
            if not (shared > _INSIDE * size).any():
                added.append(line)
            continue
        lower = pieces & (extents.min(axis=1) < _SAME_ROW * height)
        others = area[lower].sum() > _LINES * size
        least_length = (_NEARLY_SAME_LENGTH if lower.any() else _SAME_LENGTH) * length
        alone = pieces.sum() == 1 and extents[pieces, along].max() >= least_length
        if not others and not alone:
            kept &= ~pieces
            added.append(line)
    return np.concatenate([fine[kept], np.array(added, fine.dtype).reshape(-1, 4, 2)])
