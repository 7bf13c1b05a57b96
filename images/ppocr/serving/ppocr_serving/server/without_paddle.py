"""A worker without Paddle: half the time to start, and half the memory.

PaddleHub imports Paddle for its training and NLP halves. Where every module served is one of ours
on OpenVINO, nothing calls it.
"""

from __future__ import annotations

from ..missing_packages import PADDLE, PADDLE_VERSION, stub

_REMEDY = (
    "this worker has not loaded {package}, since every module it serves runs on OpenVINO: "
    "set hubserving_engine to paddle"
)


def stub_paddle() -> None:
    """To be called before PaddleHub is imported."""
    stub(PADDLE, _REMEDY, __version__=PADDLE_VERSION)
