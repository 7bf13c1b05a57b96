"""Engines: what turns a model folder into something that can be called.

One small interface, so that the pipeline does not depend on OpenVINO, Paddle or ONNX Runtime: a
:class:`Predictor` maps one float32 batch to one float32 output. It is called on the inference
threads of its engine only (see :mod:`ppocr_serving.runtime`).
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ppocr_contract.config import ENGINES

if TYPE_CHECKING:
    import numpy as np

PRECISIONS = ("auto", "f32", "bf16")
#: Where a predictor runs that has no card.
CPU = "cpu"


class EngineError(RuntimeError):
    """An engine cannot load a model or reach its device; the message says why."""


class Predictor(Protocol):
    """One model, ready to run."""

    #: Where it runs: "cpu" or "gpu:0".
    device: str
    #: Whether the softmax the model ends in is left to the caller; see EngineOptions.
    logits: bool

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Run the model on a float32 array (N, C, H, W); return its first output.

        The output holds until the same thread calls the predictor again.
        """
        ...


@dataclasses.dataclass(frozen=True)
class EngineOptions:
    """Options of every engine.

    Attributes:
        engine: one of :data:`ppocr_contract.config.ENGINES`.
        use_gpu: run on the card CUDA_VISIBLE_DEVICES leaves first.
        enable_mkldnn: let Paddle use oneDNN on a CPU.
        threads: CPUs to use.
        gpu_mem: MB of the card's memory Paddle takes to begin with.
        precision: ``f32``, ``bf16``, or ``auto``: with openvino bf16 on CPUs that have it, with
            onnxruntime TF32 on cards that have it.
        exact_share: with ``auto``: how much of the model, from its input on, stays in f32 (0..1).
        logits: openvino only: leave the softmax the model ends in to the caller, for one who needs
            little of it.
        width_step: widths of lines are rounded up to a multiple of this, which bounds the number of
            shapes the engine prepares itself for; 1 for stock's widths.
        rows: onnxruntime only: inputs of one batch at most.
        shapes: onnxruntime only: shapes of input that sessions are kept for.
        warm: onnxruntime only: shapes (N, C, H, W) to prepare while the model is loaded, the most
            important first.
    """

    engine: str = "openvino"
    use_gpu: bool = False
    enable_mkldnn: bool = False
    threads: int = 1
    gpu_mem: int = 500
    precision: str = "f32"
    exact_share: float = 0.0
    logits: bool = False
    width_step: int = 1
    rows: int = 16
    shapes: int = 12
    warm: tuple[tuple[int, ...], ...] = ()

    @property
    def parallel(self) -> int:
        """Calls of a predictor at once: one with Paddle, which takes all CPUs for it."""
        return 1 if self.engine == "paddle" else self.threads

    @property
    def one_by_one(self) -> bool:
        """Whether lines are read one by one: a batch does not fit the cache of a CPU."""
        return self.engine == "openvino" and self.threads > 1


class _FirstChecked:
    """A predictor whose first output is checked: a card that an engine was not compiled for
    leaves it empty, without an error. On a CPU a model may well answer with one value, such as a
    detector that finds nothing."""

    def __init__(self, predictor: Predictor, model_dir: str) -> None:
        self.device, self.logits = predictor.device, predictor.logits
        self._predict, self._model_dir = predictor, model_dir
        self._checked = False

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        output = self._predict(batch)
        if not self._checked:
            least, most = float(output.min()), float(output.max())
            if math.isnan(least) or (least == most and self.device != CPU):
                raise computes_wrong(
                    self.device, self._model_dir, f"answers a picture with nothing but {least:g}"
                )
            self._checked = True
        return output


def computes_wrong(device: str, model_dir: str, how: str) -> EngineError:
    """The error for output that cannot be right."""
    remedy = (
        "name another model in ppocr_models, or build the image again"
        if device == CPU
        else "look for Xid and NVRM lines in dmesg of the host, choose another card "
        "(ppocr_cuda_visible_devices), or serve on the CPU (ppocr_device: cpu)"
    )
    return EngineError(f"{device} computes wrong: the model in {model_dir} {how}: {remedy}")


def load_predictor(model_dir: str, options: EngineOptions) -> Predictor:
    """Load the model in ``model_dir`` with the requested engine.

    The predictor raises EngineError where its first output is not a number or, on a card, has one
    value only.

    Raises:
        EngineError: unknown engine, or it cannot serve this model on this device.
        ModelError: the model folder is incomplete.
    """
    if options.precision not in PRECISIONS:
        raise EngineError(f"unknown precision {options.precision!r}: use {', '.join(PRECISIONS)}")
    if options.engine not in ENGINES:
        raise EngineError(f"unknown engine {options.engine!r}: use {' or '.join(ENGINES)}")
    # Imported when asked for: each engine costs a second and a hundred megabytes.
    try:
        module = importlib.import_module(f"{__name__}.{options.engine}")
    except ModuleNotFoundError as error:
        raise EngineError(
            f"this image does not carry the engine {options.engine} ({error}): set "
            "hubserving_engine to one it has, or build the image with the engine set"
        ) from error
    return _FirstChecked(module.load(Path(model_dir), options), model_dir)
