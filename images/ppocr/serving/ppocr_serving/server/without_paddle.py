"""A worker without Paddle: half the time to start, and half the memory.

PaddleHub imports Paddle for its training and NLP halves. Where every module served is one of ours
on OpenVINO, nothing calls it.
"""

from __future__ import annotations

import importlib
from importlib import metadata

from ..missing_packages import stub

_REMEDY = (
    "this worker has not loaded {package}, since every module it serves runs on OpenVINO: "
    "set hubserving_engine to paddle"
)
#: PaddleHub uses these without importing them: Paddle did.
_BY_PADDLE = ("PIL.Image",)


def _paddle_version() -> str:
    """Of the one build the image has: for the CPU, or for GPUs."""
    try:
        return metadata.version("paddlepaddle")
    except metadata.PackageNotFoundError:
        return metadata.version("paddlepaddle-gpu")


def stub_paddle() -> None:
    """To be called before PaddleHub is imported."""
    stub("paddle", _REMEDY, __version__=_paddle_version())
    for name in _BY_PADDLE:
        importlib.import_module(name)
