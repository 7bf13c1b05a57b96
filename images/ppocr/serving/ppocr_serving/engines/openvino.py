"""OpenVINO: reads Paddle inference models as they are; the fastest engine on a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov

from ..models import check_model
from . import EngineError, EngineOptions


class OpenVinoPredictor:
    """One compiled model with one inference request."""

    device = "cpu"

    def __init__(self, program: Path, threads: int) -> None:
        core = ov.Core()
        compiled = core.compile_model(
            core.read_model(program),
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": threads,
                # CPUs with AMX or AVX512-BF16 would round to bf16 by themselves.
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
        self._request = compiled.create_infer_request()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        # A copy: the request reuses its output memory at the next call.
        return np.array(self._request.infer([batch])[0])


def load(model_dir: Path, options: EngineOptions) -> OpenVinoPredictor:
    """See :func:`ppocr_serving.engines.load_predictor`."""
    if options.use_gpu:
        raise EngineError("openvino serves on the CPU: for use_gpu choose the engine paddle")
    program = check_model(model_dir)
    if program.suffix != ".pdmodel":
        raise EngineError(f"openvino reads inference.pdmodel, {model_dir} has {program.name}")
    try:
        return OpenVinoPredictor(program, options.threads)
    except RuntimeError as error:
        raise EngineError(f"openvino cannot load {program}: {error}") from error
