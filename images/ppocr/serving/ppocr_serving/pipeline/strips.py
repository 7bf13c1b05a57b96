"""At which scales a strip is searched: a picture too long for its longer side to set the scale.

960 pixels for that side would leave the shorter one 240 and less, whatever the size of its text. A
strip is scaled so that its shorter side has the share of det_limit_side_len that a page's has (1 to
the root of 2), and altogether as many pixels as so many squares of it.
"""

from __future__ import annotations

import math

_ASPECT = 4  # height to width or the other way
_SHARE = 0.7
#: Squares of det_limit_side_len.
AREA = 8
#: Letters of a strip may be as high as its shorter side: it is searched with that at these lengths,
#: too.
_FURTHER = (192, 96)


def is_strip(height: int, width: int, side_len: int) -> bool:
    """Whether a picture is one, where det_limit_side_len is ``side_len``."""
    short, long = sorted((height, width))
    return long > max(side_len, _ASPECT * short)


def most_pixels(side_len: int) -> int:
    """Pixels that a strip is scaled to at most."""
    return AREA * side_len**2


def ratio(height: int, width: int, side_len: int) -> float:
    """How far a strip is scaled for the text of a page."""
    area = most_pixels(side_len) / (height * width)
    return min(1.0, _SHARE * side_len / min(height, width), math.sqrt(area))


def further_ratios(height: int, width: int, fine: int, most: float) -> list[float]:
    """How far a strip is scaled for large letters.

    Nowhere to more than one and a half of the first scale, nor to more pixels than ``most``.

    Args:
        height, width: of the strip, in pixels.
        fine: what its shorter side has at the first scale.
        most: pixels.
    """
    short, long = sorted((height, width))
    ratios = [side / short for side in _FURTHER if 2 * side <= 3 * fine]
    return [ratio for ratio in ratios if ratio**2 * short * long <= most]
