"""Which NVIDIA cards the GPU image's Paddle computes on.

On any other card its kernels do nothing, without an error: what should be a picture's text is
zeros. Standard library only: the control node refuses such a card before an image is built or sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

#: Compute capabilities that the kernels of the locked paddlepaddle-gpu 2.6.2 were compiled for. The
#: build of the image (images/ppocr/build/cuda_kernels.py) compares them with the libraries.
KERNELS = ("6.1", "7.0", "7.5", "8.0", "8.6")
#: The same, in an image for GPUs.
KERNELS_FILE = Path("/opt/ppocr/cuda-kernels")


def is_served(capability: str, kernels: Iterable[str]) -> bool:
    """Whether a card of this compute capability, such as ``8.9``, runs some of the kernels.

    Machine code runs on cards of its own major number with the same minor number or a higher one
    (CUDA C++ Programming Guide, "Binary Compatibility").
    """
    major, minor = _numbers(capability)
    return any(major == own and minor >= least for own, least in map(_numbers, kernels))


def _numbers(capability: str) -> tuple[int, int]:
    major, _, minor = capability.partition(".")
    return int(major), int(minor)


def unserved(name: str, capability: str, kernels: Iterable[str]) -> str:
    """What is wrong with a card, as a sentence without its remedy; empty where it is served."""
    kernels = tuple(kernels)
    if is_served(capability, kernels):
        return ""
    return (
        f"{name} has compute capability {capability}, for which the Paddle of this image has no "
        f"kernels (it has them for {', '.join(kernels) or 'no card'}): it would compute zeros "
        "without an error"
    )
