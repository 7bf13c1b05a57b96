"""ONNX Runtime: on NVIDIA cards by CUDA; the same code on a CPU.

A batcher of each model unites what all requests of the worker ask, and sessions of fixed shapes run
it; whoever asks waits, while others of the inference threads decode, cut out and sort.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from ppocr_contract.models import check_model

from .. import cuda, gpu
from . import CPU, EngineError, EngineOptions
from .batcher import Batcher, Run
from .buckets import Buckets, Session

log = logging.getLogger(__name__)

_CUDA = "CUDAExecutionProvider"
_CUDA_LIBRARY = "libonnxruntime_providers_cuda.so"
_FATAL_ONLY = 4  # severity: what fails is raised, and told in one sentence

ort.set_default_logger_severity(_FATAL_ONLY)


class OnnxRuntimePredictor:
    """One model, with its sessions and the thread that runs them."""

    logits = False

    def __init__(self, program: Path, options: EngineOptions) -> None:
        self.device = gpu.device_name() if options.use_gpu else CPU
        self._program, self._options = program, options
        self._batcher = Batcher(self._loaded, options.rows)

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return self._batcher(batch)

    def _loaded(self) -> Run:
        """The model with sessions for its usual shapes; on the thread that will run it."""
        options = self._options
        memory = _memory_of_card if options.use_gpu else (lambda: None)
        buckets = Buckets(self._open, options.shapes, options.rows, gpu.is_out_of_memory, memory)
        started = time.monotonic()
        name = self._program.parent.name

        def told(done: int, wanted: int) -> None:
            seconds = time.monotonic() - started
            log.info("model %s: %d of %d shapes prepared, %.1f s", name, done, wanted, seconds)

        buckets.warm(options.warm, told)
        return functools.partial(self._run, buckets)

    def _run(self, buckets: Buckets, batch: np.ndarray) -> np.ndarray:
        try:
            return buckets(batch)
        except EngineError:
            raise
        except Exception as error:  # ONNX Runtime's own kinds have no common base
            if not self._options.use_gpu:
                raise
            raise gpu.explained(error, loading=False) from error

    def _open(self) -> Session:
        """A session.

        Raises:
            EngineError: it would run on the CPU in place of the card.
        """
        settings = ort.SessionOptions()
        settings.inter_op_num_threads = 1
        settings.intra_op_num_threads = 1 if self._options.use_gpu else self._options.threads
        # What waits for the next call must not take a CPU meanwhile.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers: list[Any] = ["CPUExecutionProvider"]
        if self._options.use_gpu:
            providers.insert(0, (_CUDA, _of_cuda(self._options.precision)))
        try:
            # Its fallback, a session on the CPU, would hide why the card cannot be used.
            session = ort.InferenceSession(
                str(self._program), settings, providers=providers, enable_fallback=0
            )
        except (ValueError, RuntimeError) as error:
            if not self._options.use_gpu or gpu.is_out_of_memory(error):
                raise
            why = gpu.short(str(error))
            raise EngineError(f"{_not_on_card(self.device)} ({why})") from error
        if self._options.use_gpu and _CUDA not in session.get_providers():
            raise EngineError(_not_on_card(self.device))
        name = session.get_inputs()[0].name

        def run(batch: np.ndarray) -> np.ndarray:
            output: np.ndarray = session.run(None, {name: batch})[0]
            return output

        return run


def _memory_of_card() -> tuple[int, int] | None:
    """Bytes of the card: free, and in all; None where the driver does not say."""
    try:
        return cuda.memory(cuda.load_library())
    except EngineError as error:
        log.warning("%s", error)
        return None


def _of_cuda(precision: str) -> dict[str, str]:
    """Settings of ONNX Runtime on a card."""
    return {
        "device_id": "0",  # the first, or only, card of CUDA_VISIBLE_DEVICES
        # Many sessions share the card: what one takes beyond its need, another lacks.
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0" if precision == "f32" else "1",
    }


def _not_on_card(device: str) -> str:
    """Why ONNX Runtime does not use the card; it only says so in its log."""
    try:
        ctypes.CDLL(str(Path(ort.__file__).with_name("capi") / _CUDA_LIBRARY))
    except OSError as error:
        return (
            f"use_gpu is true, but ONNX Runtime cannot use {device}: {error}. Where it names a "
            "file that is missing, build the image again with ppocr_device: gpu"
        )
    return gpu.not_there(device)


def load(model_dir: Path, options: EngineOptions) -> OnnxRuntimePredictor:
    """See :func:`ppocr_serving.engines.load_predictor`."""
    program = check_model(model_dir)
    if program.suffix != ".onnx":
        raise EngineError(
            f"onnxruntime reads inference.onnx, {model_dir} has {program.name}: name the model in "
            "ppocr_models, and the image's build converts it"
        )
    try:
        return OnnxRuntimePredictor(program, options)
    except EngineError:
        raise
    except Exception as error:  # ONNX Runtime's own kinds have no common base
        if options.use_gpu:
            raise gpu.explained(error, loading=True) from error
        raise EngineError(f"onnxruntime cannot load {program}: {error}") from error
