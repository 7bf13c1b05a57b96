"""The GPU as the modules see it: which cards were given, and what its failures mean.

:mod:`ppocr_serving.cuda` asks the driver, the engines use the card.
"""

from __future__ import annotations

import os
import re

from .engines import EngineError

VISIBLE = "CUDA_VISIBLE_DEVICES"


class DeviceLost(EngineError):
    """The card failed under a running predictor: this process cannot use it any more."""


_MEMORY = re.compile(
    r"out of memory|cannot allocate|Failed to allocate|ResourceExhausted|ALLOC_FAILED|"
    r"cudaErrorMemoryAllocation",
    re.I,
)
#: After any of these every further CUDA call of the process fails too.
_LOST = re.compile(
    r"(?:CUDA|CUDNN|CUBLAS) (?:error|failure)|cudaError|CUDNN_STATUS|CUBLAS_STATUS|NVML|"
    r"unspecified launch failure|GPU is lost",
    re.I,
)
#: What ONNX Runtime says behind the signature of the C++ function that says it.
_BEHIND_SIGNATURE = re.compile(
    r"(?:(?:CUDA|CUDNN|CUBLAS) failure|Failed to allocate memory)[^;\n]*", re.I
)
_NO_CARD = re.compile(r"GPU count is: 0|no CUDA-capable device", re.I)
_LIBRARY = re.compile(r"dynamic library \(([^)]*)\)|Cannot load (\w+) (?:shared )?library", re.I)


def visible_devices() -> tuple[str, ...]:
    """The entries of CUDA_VISIBLE_DEVICES: indexes, GPU UUIDs or MIG ids; none when it is unset."""
    entries = (entry.strip() for entry in os.environ.get(VISIBLE, "").split(","))
    return tuple(entry for entry in entries if entry)


def require_visible_device() -> str:
    """The first entry of CUDA_VISIBLE_DEVICES.

    Raises:
        EngineError: it is unset or empty (the guide's KeyError 'CUDA_VISIBLE_DEVICES').
    """
    visible = visible_devices()
    if not visible:
        raise EngineError(
            f"use_gpu is true but {VISIBLE} is not set: name the cards to use, "
            "for example 0 or 0,1 (ppocr_cuda_visible_devices)"
        )
    return visible[0]


def device_name() -> str:
    """The card this process runs on, such as ``gpu:1``: a worker sees no other."""
    return f"gpu:{require_visible_device()}"


def is_out_of_memory(error: Exception) -> bool:
    """Whether an engine's exception says that the card has no memory left."""
    return isinstance(error, MemoryError) or bool(_MEMORY.search(str(error)))


def not_there(where: str) -> str:
    """What to say of a card that CUDA does not see."""
    return (
        f"{where} is not there, CUDA sees no card in this container: deploy with "
        "ppocr_device: gpu, and compare ppocr_cuda_visible_devices with nvidia-smi -L"
    )


def explained(error: Exception, loading: bool) -> EngineError:
    """What an engine's exception on a GPU means, in one sentence with its remedy.

    Args:
        error: what it raised; its text may be pages long.
        loading: while models were loaded, rather than in an inference.
    """
    text = str(error)
    where = device_name()
    if is_out_of_memory(error):
        if loading:
            return EngineError(
                f"{where} has too little free memory to load the models: lower "
                "hubserving_workers_per_gpu or hubserving_params.gpu_mem, or end what else runs on "
                f"the card ({short(text)})"
            )
        return EngineError(
            f"{where} ran out of memory in an inference: lower hubserving_workers_per_gpu, "
            f"hubserving_gpu_shapes or det_limit_side_len ({short(text)})"
        )
    if loading and _NO_CARD.search(text):
        return EngineError(not_there(where))
    if library := _LIBRARY.search(text):
        return EngineError(
            f"this image lacks the CUDA library {library[1] or library[2]}: add the package that "
            "has it to ppocr_image_extra_requirements and build the image again"
        )
    if _LOST.search(text):
        return DeviceLost(
            f"{where} failed: {short(text)}. See dmesg of the host for Xid or NVRM lines; where "
            "the service does not come back by itself, restart the container"
        )
    return EngineError(f"the engine failed on {where}: {short(text)}")


def short(text: str) -> str:
    """The relevant line of a message, which may contain C++ stacks and signatures."""
    if behind := _BEHIND_SIGNATURE.search(text):
        return behind[0].strip()[:200]
    summary = text.rpartition("Error Message Summary:")[2]
    lines = [line.strip(" -") for line in summary.splitlines()]
    # A line such as "ResourceExhaustedError:" is a heading of what follows.
    said = [line for line in lines if line and not line.endswith("Error:")] or lines
    return said[0][:200].rstrip(" .:") if said else ""
