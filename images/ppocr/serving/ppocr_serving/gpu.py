"""What the modules need to know of the GPU before Paddle touches it."""

from __future__ import annotations

import os

from .engines import EngineError


def require_visible_device() -> str:
    """The value of CUDA_VISIBLE_DEVICES.

    Raises:
        EngineError: it is unset or empty (the guide's KeyError 'CUDA_VISIBLE_DEVICES').
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    if not visible:
        raise EngineError(
            "use_gpu is true but CUDA_VISIBLE_DEVICES is not set: name the cards to use, "
            "for example 0 or 0,1 (ppocr_cuda_visible_devices)"
        )
    return visible
