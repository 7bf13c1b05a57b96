"""OpenVINO: reads Paddle 2 inference models and ONNX as they are; the fastest engine on a CPU."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov

from ppocr_contract.models import check_model

from . import EngineError, EngineOptions, mixed_precision

log = logging.getLogger(__name__)

# OpenVINO makes its table of element types at first use. Threads that are first at the same time
# wait for each other forever, one with Python's lock, one with the table's; here it is one thread.
ov.Type.f32.to_dtype()

_PRECISION = "INFERENCE_PRECISION_HINT"

#: Prepared kernels kept for one model, over all inference threads, each of which has a cache of its
#: own. Those of one input shape are about a hundred and take 5 to 9 MB: without a cap every new
#: size of picture grows the process. Pages of 400 random sizes on two threads took 1,810 MB with
#: 4,000 kernels and 1,340 MB with 1,200, which is below the default hubserving_memory_ceiling.
_KERNELS = 1200
_KERNELS_OF_A_SHAPE = 100


def _kernels(threads: int) -> int:
    """Kernels each of ``threads`` may keep: one shape's at least."""
    return max(_KERNELS_OF_A_SHAPE, _KERNELS // threads)


def _read(core: ov.Core, program: Path, options: EngineOptions) -> tuple[ov.Model, dict[str, str]]:
    """The model, and the setting of its precision; none where the CPU has its choice."""
    if options.precision != "auto":
        return core.read_model(program), {_PRECISION: options.precision}
    if not options.exact_share or "BF16" not in core.get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        return core.read_model(program), {}
    try:
        return mixed_precision.read(core, program, options.exact_share), {}
    except Exception as error:  # whatever OpenVINO's converter raises
        log.warning("%s is served in f32, it cannot be converted to bf16: %s", program, error)
        return core.read_model(program), {_PRECISION: "f32"}


class OpenVinoPredictor:
    """One compiled model; each thread that calls it has an inference request of its own."""

    device = "cpu"

    def __init__(self, program: Path, options: EngineOptions) -> None:
        core = ov.Core()
        model, precision = _read(core, program, options)
        settings: dict[str, Any] = {
            # Pages side by side, one thread each, beat all threads on one page: no thread waits.
            "NUM_STREAMS": str(options.threads),
            "INFERENCE_NUM_THREADS": options.threads,
            "CPU_RUNTIME_CACHE_CAPACITY": str(_kernels(options.threads)),
            **precision,
        }
        last = model.get_results()[0].input_value(0).get_node()
        # Where shapes vary it is computed value by value, a tenth of all detection.
        self._sigmoid = last.get_type_name() == "Sigmoid"
        self.logits = last.get_type_name() == "Softmax" and options.logits
        if self._sigmoid or self.logits:
            model = ov.Model([last.input_value(0)], model.get_parameters(), model.get_name())
        self._compiled = core.compile_model(model, "CPU", settings)
        self._of_thread = threading.local()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._compiled.create_infer_request()
        # A view: it holds until this thread's next call.
        output: np.ndarray = request.infer([batch], share_inputs=True, share_outputs=True)[0]
        return _sigmoid(output) if self._sigmoid else output


def _sigmoid(values: np.ndarray) -> np.ndarray:
    flat = np.asarray(cv2.exp(-values.reshape(-1, values.shape[-1])), np.float32)
    np.add(flat, 1, out=flat)
    return np.reciprocal(flat, out=flat).reshape(values.shape)


def load(model_dir: Path, options: EngineOptions) -> OpenVinoPredictor:
    """See :func:`ppocr_serving.engines.load_predictor`."""
    if options.use_gpu:
        raise EngineError(
            "use_gpu is true with the engine openvino, which serves on the CPU: leave engine out, "
            "or set use_gpu to false"
        )
    program = check_model(model_dir)
    if program.suffix not in (".pdmodel", ".onnx"):
        raise EngineError(
            f"openvino reads inference.pdmodel and inference.onnx, {model_dir} has {program.name}: "
            "name the model in ppocr_models, and the image's build converts it"
        )
    try:
        return OpenVinoPredictor(program, options)
    except RuntimeError as error:
        raise EngineError(f"openvino cannot load {program}: {error}") from error
