"""A worker without Paddle: half the time to start, and half the memory.

PaddleHub imports Paddle for its training and NLP halves. Where no module served needs it
(:func:`ppocr_serving.hubhome.why_paddle`), nothing calls it.
"""

from __future__ import annotations

from ..missing_packages import PADDLE, PADDLE_VERSION, stub

_REMEDY = (
    "this worker has not loaded {package}, since by their code no module it serves needs it: "
    "import {package} in the module's own files, or set hubserving_engine to paddle"
)


def stub_paddle() -> None:
    """To be called before PaddleHub is imported."""
    stub(PADDLE, _REMEDY, __version__=PADDLE_VERSION)
