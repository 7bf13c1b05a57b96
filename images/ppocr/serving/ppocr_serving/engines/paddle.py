"""Paddle Inference: what the models were made for; on a GPU, or a CPU with or without oneDNN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
from paddle import inference

from ppocr_contract.models import check_model

from .. import gpu
from . import EngineError, EngineOptions

#: Shapes whose oneDNN primitives are kept; without a cap each new image size grows the process.
_MKLDNN_CACHE = 10


class PaddlePredictor:
    """One Paddle predictor with its input and first output."""

    def __init__(self, program: Path, options: EngineOptions) -> None:
        config = inference.Config(str(program), str(program.with_name("inference.pdiparams")))
        config.disable_glog_info()
        if options.use_gpu:
            config.enable_use_gpu(options.gpu_mem, 0)
        else:
            config.disable_gpu()
            config.set_cpu_math_library_num_threads(options.threads)
            if options.enable_mkldnn:
                config.set_mkldnn_cache_capacity(_MKLDNN_CACHE)
                config.enable_mkldnn()
        config.enable_memory_optim()
        config.switch_use_feed_fetch_ops(False)
        config.switch_ir_optim(True)
        # Paddle 2.6 gets these two wrong for the OCR models (tools/infer/utility.py deletes them).
        config.delete_pass("conv_transpose_eltwiseadd_bn_fuse_pass")
        config.delete_pass("matmul_transpose_reshape_fuse_pass")
        # Compiled for AVX-512 and run on any CPU: SIGILL where a recogniser has attention.
        config.delete_pass("self_attention_fuse_pass")
        if options.use_gpu and not config.use_gpu():
            raise EngineError("use_gpu is true, but this image's Paddle cannot use a GPU")
        self.logits = False
        self.device = gpu.device_name() if options.use_gpu else "cpu"
        self._use_gpu = options.use_gpu
        self._proved = not options.use_gpu
        self._predictor = inference.create_predictor(config)
        self._input = self._predictor.get_input_handle(self._predictor.get_input_names()[0])
        self._output = self._predictor.get_output_handle(self._predictor.get_output_names()[0])

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        try:
            self._input.copy_from_cpu(np.ascontiguousarray(batch))
            self._predictor.run()
            output: np.ndarray = self._output.copy_to_cpu()
        except Exception as error:
            # Paddle raises nearly every kind of Python's own, whatever failed below it.
            if not self._use_gpu:
                raise
            raise gpu.explained(error, loading=not self._proved) from error
        if not self._proved:
            self._prove()
        return output

    def _prove(self) -> None:
        """After the first inference: check that it used the card's memory.

        Raises:
            EngineError: it has not; it ran on the CPU.
        """
        on_card = paddle.device.cuda
        # Device 0 is the first, or only, card of CUDA_VISIBLE_DEVICES.
        if not max(on_card.max_memory_allocated(0), on_card.max_memory_reserved(0)):
            raise EngineError(
                f"use_gpu is true, but an inference took no memory of {self.device}: it ran on the "
                "CPU. Set use_gpu to false (ppocr_device: cpu), or correct the image"
            )
        self._proved = True


def load(model_dir: Path, options: EngineOptions) -> PaddlePredictor:
    """See :func:`ppocr_serving.engines.load_predictor`."""
    program = check_model(model_dir)
    if program.suffix != ".pdmodel":
        raise EngineError(
            f"Paddle 2.6 reads inference.pdmodel, {model_dir} has {program.name}: name another "
            "model in ppocr_models, or leave hubserving_engine empty"
        )
    try:
        return PaddlePredictor(program, options)
    except EngineError:
        raise
    except Exception as error:
        if options.use_gpu:
            raise gpu.explained(error, loading=True) from error
        raise EngineError(f"paddle cannot load {program}: {error}") from error
