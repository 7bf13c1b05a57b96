"""Queries the NVIDIA driver of this container, before anything is loaded.

``python -m ppocr_serving.cuda ENGINE`` prints the cards as JSON: it runs in a process of its own,
so that no CUDA state is ever in a process that forks.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ppocr_contract.cards import KERNELS_FILE, LIBRARIES, Library, engine_of, unserved
from ppocr_contract.config import ServingConfig

from .engines import EngineError
from .gpu import visible_devices

_DEPLOY = "deploy with ppocr_device: gpu, which gives the container its cards"
#: CUresult values that a person can do something about; cuda.h has the rest.
_CAUSES = {
    2: "the card has no memory left: end what else runs on it",
    3: f"the driver is not usable in this container: {_DEPLOY}",
    46: "another program has the card to itself: end it, or nvidia-smi -c DEFAULT on the host",
    100: f"CUDA_VISIBLE_DEVICES names no card this container has: {_DEPLOY}, and correct "
    "ppocr_cuda_visible_devices",
    101: "CUDA_VISIBLE_DEVICES names a card this container does not have: correct "
    "ppocr_cuda_visible_devices",
    802: "the cards' fabric is not ready: start nvidia-fabricmanager on the host",
    803: "the driver's library and its kernel module are of two versions: restart the host after a "
    "driver update, then deploy again",
    999: "the driver failed: see dmesg of the host for Xid or NVRM lines",
}
#: CUdevice_attribute: the two numbers of a card's compute capability.
_CAPABILITY = (75, 76)
_PROBE_TIMEOUT = 60  # seconds; a card that sleeps takes several to wake


@dataclass(frozen=True)
class Card:
    """A card CUDA may use: name, UUID, memory in MB and compute capability, such as ``8.6``."""

    name: str
    uuid: str
    memory: int
    capability: str


def _call(library: Any, function: str, *arguments: Any) -> None:
    status = getattr(library, function)(*arguments)
    if status:
        cause = _CAUSES.get(status, f"CUDA error {status}")
        raise EngineError(f"use_gpu is true but {function} failed ({status}): {cause}")


def load_library() -> Any:
    """The driver's library.

    Raises:
        EngineError: there is none: the container was started without a GPU.
    """
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise EngineError(
            "use_gpu is true but this container has no GPU (no libcuda.so.1): "
            f"{_DEPLOY}; by hand it is docker run --gpus all"
        ) from error


def cards(library: Any, engine: Library) -> list[Card]:
    """The cards, in the order CUDA_VISIBLE_DEVICES gives them.

    Args:
        library: of the driver.
        engine: what is to run with it.

    Raises:
        EngineError: CUDA cannot start, the driver is too old, or there is no card.
    """
    _call(library, "cuInit", 0)
    version, count = ctypes.c_int(), ctypes.c_int()
    _call(library, "cuDriverGetVersion", ctypes.byref(version))
    if version.value < engine.driver_api:
        raise EngineError(
            f"use_gpu is true but the driver is too old for this image's CUDA {engine.cuda}: "
            f"install driver {engine.driver} or newer (this one is for {_dotted(version)})"
        )
    _call(library, "cuDeviceGetCount", ctypes.byref(count))
    if not count.value:
        raise EngineError(f"use_gpu is true but {_CAUSES[100]}")
    return [_card(library, number) for number in range(count.value)]


def _dotted(version: ctypes.c_int) -> str:
    return f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"


def _card(library: Any, number: int) -> Card:
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name, uuid = ctypes.create_string_buffer(100), ctypes.create_string_buffer(16)
    _call(library, "cuDeviceGet", ctypes.byref(device), number)
    _call(library, "cuDeviceGetName", name, len(name), device)
    _call(library, "cuDeviceGetUuid", uuid, device)
    _call(library, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    major, minor = (_attribute(library, attribute, device) for attribute in _CAPABILITY)
    digits = uuid.raw.hex()
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return Card(
        name.value.decode(),
        f"GPU-{'-'.join(parts)}",
        memory.value // 1_000_000,
        f"{major}.{minor}",
    )


def _attribute(library: Any, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call(library, "cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
    return value.value


def memory(library: Any) -> tuple[int, int]:
    """Bytes of the first, or only, card of CUDA_VISIBLE_DEVICES: free, and in all.

    For a process that computes on it: it makes CUDA's state where there is none.

    Raises:
        EngineError: the driver does not tell.
    """
    device, context = ctypes.c_int(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _call(library, "cuInit", 0)
    _call(library, "cuDeviceGet", ctypes.byref(device), 0)
    # The context that ONNX Runtime's calls share; what is retained here is released again.
    _call(library, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    try:
        _call(library, "cuCtxPushCurrent_v2", context)
        try:
            _call(library, "cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        finally:
            _call(library, "cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
    finally:
        _call(library, "cuDevicePrimaryCtxRelease_v2", device)
    return free.value, total.value


def _holds(package: str, file: str, pattern: str = "") -> bool:
    """Whether a package, which is not imported, has a file, and a pattern in it."""
    spec = importlib.machinery.PathFinder.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    path = Path(next(iter(folders)), file) if folders else None
    if path is None or not path.is_file():
        return False
    return not pattern or bool(re.search(pattern, path.read_text(), re.MULTILINE))


def has_engine(engine: str) -> bool:
    """Whether this image carries the engine, built for CUDA."""
    if engine == "paddle":
        return _holds("paddle", "version/__init__.py", r"^cuda_version\s*=\s*'\d")
    return _holds("onnxruntime", "capi/libonnxruntime_providers_cuda.so")


def require_engine(engine: str) -> None:
    """Make sure that this image carries the engine, built for CUDA, without importing it.

    Raises:
        EngineError: it does not.
    """
    if has_engine(engine):
        return
    carried = next((other for other in LIBRARIES if has_engine(other)), "")
    if carried:
        raise EngineError(
            f"use_gpu is true with the engine {engine}, and this image carries {carried}: set "
            f"hubserving_engine to {carried}, or build and deploy the image again"
        )
    raise EngineError(
        "use_gpu is true but this image was built for the CPU: build and deploy it with "
        "ppocr_device: gpu, or set use_gpu to false"
    )


def probe(serving: ServingConfig) -> list[Card]:
    """The cards, queried in a separate process.

    Raises:
        EngineError: the GPU cannot be used; the message has cause and remedy.
    """
    # Modules that name no engine compute with the one there is.
    engine = engine_of(serving.gpu_engines or filter(has_engine, LIBRARIES))
    require_engine(engine)
    command = [sys.executable, "-m", __name__, engine]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"use_gpu is true but the driver did not answer within {_PROBE_TIMEOUT} s: see dmesg "
            "of the host for Xid or NVRM lines"
        ) from error
    if done.returncode:
        raise EngineError(done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}")
    found = [Card(**fields) for fields in json.loads(done.stdout)]
    _require_all(found)
    _require_served(found, engine)
    return found


def _require_all(found: list[Card]) -> None:
    """Refuse a CUDA_VISIBLE_DEVICES that CUDA would read only up to its first unknown card."""
    named = visible_devices()
    if len(found) < len(named):
        here = ", ".join(f"{number} ({card.name})" for number, card in enumerate(found))
        raise EngineError(
            f"use_gpu is true but CUDA_VISIBLE_DEVICES names {named[len(found)]}, which is no card "
            f"of this container (it has {here}): correct ppocr_cuda_visible_devices"
        )


def _require_served(found: list[Card], engine: str) -> None:
    """Refuse cards that the engine has no kernels for."""
    kernels = KERNELS_FILE.read_text().split() if KERNELS_FILE.is_file() else []
    for card in found:
        if wrong := unserved(card.name, card.capability, kernels, engine):
            raise EngineError(f"use_gpu is true but {wrong}. Remedy: {LIBRARIES[engine].remedy}")


def main(engine: str) -> int:
    try:
        found = cards(load_library(), LIBRARIES[engine])
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps([asdict(card) for card in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
