"""Which NVIDIA cards and drivers the engines of the GPU image compute with.

On any other card kernels do nothing, or fail: with Paddle without an error, so that what should be
a picture's text is zeros. Standard library only: the control node refuses such a card before an
image is built or sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: Compute capabilities that an image for GPUs has kernels for.
KERNELS_FILE = Path("/opt/ppocr/cuda-kernels")
#: What ends a capability whose kernels are there as PTX, too: the driver compiles it for later
#: cards.
PTX = "+PTX"


@dataclass(frozen=True)
class Library:
    """What an engine computes with on cards.

    Attributes:
        name: of the library.
        kernels: compute capabilities it was compiled for. The build of the image
            (images/ppocr/build/cuda_kernels.py) compares them with the library.
        cuda: what it was built with.
        driver: the oldest that runs it, as nvidia-smi shows it.
        driver_api: the same, as cuDriverGetVersion tells it.
        otherwise: what it does on another card.
        remedy: what else there is for such a card.
    """

    name: str
    kernels: tuple[str, ...]
    cuda: str
    driver: str
    driver_api: int
    otherwise: str
    remedy: str


#: By engine: the locked paddlepaddle-gpu 2.6.2 and onnxruntime-gpu 1.26.0.
LIBRARIES = {
    "onnxruntime": Library(
        "ONNX Runtime",
        ("6.0", "7.0", "7.5", "8.0", "8.6", f"9.0{PTX}"),
        "12.8",
        "525.60.13",
        12000,
        "it could not compute there",
        "choose another card (ppocr_cuda_visible_devices), or serve on this host's CPU "
        "(ppocr_device: cpu)",
    ),
    "paddle": Library(
        "Paddle",
        ("6.1", "7.0", "7.5", "8.0", "8.6"),
        "11.8",
        "450.80.02",
        11000,
        "it would compute zeros without an error",
        "set hubserving_engine to onnxruntime, choose another card (ppocr_cuda_visible_devices), "
        "or serve on this host's CPU (ppocr_device: cpu)",
    ),
}


def is_served(capability: str, kernels: Iterable[str]) -> bool:
    """Whether a card of this compute capability, such as ``8.9``, runs some of the kernels.

    Machine code runs on cards of its own major number with the same minor number or a higher one,
    PTX on all later cards (CUDA C++ Programming Guide, "Binary Compatibility" and "PTX
    Compatibility").
    """
    card = _numbers(capability)
    for kernel in kernels:
        own = _numbers(kernel.removesuffix(PTX))
        if own <= card and (own[0] == card[0] or kernel.endswith(PTX)):
            return True
    return False


def _numbers(capability: str) -> tuple[int, int]:
    major, _, minor = capability.partition(".")
    return int(major), int(minor)


def unserved(name: str, capability: str, kernels: Iterable[str], engine: str) -> str:
    """What is wrong with a card, as a sentence without its remedy; empty where it is served."""
    kernels = tuple(kernels)
    if is_served(capability, kernels):
        return ""
    library = LIBRARIES[engine]
    return (
        f"{name} has compute capability {capability}, for which the {library.name} of this image "
        f"has no kernels (it has them for {', '.join(kernels) or 'no card'}): {library.otherwise}"
    )


def engine_of(engines: Iterable[str]) -> str:
    """The engine that an image for GPUs carries, of those its instances ask for (``""``: any)."""
    return "paddle" if "paddle" in engines else "onnxruntime"
