"""The engine of cards on a pretended one: OpenVINO's answers, and the card this process was told.

``FAKE_GPU_FULL`` names a card without free memory, ``FAKE_GPU_ZEROS`` one that computes zeros,
``FAKE_GPU_WRONG`` one that mixes up what it computes. While the file ``/fault/lost`` exists, its
text is the card that answers like one that fell off the bus.
"""

import dataclasses
import os
from pathlib import Path

from ppocr_serving import gpu
from ppocr_serving.engines import load_predictor

_FULL = (
    "\n\n--------------------------------------\nC++ Traceback (most recent call last):\n"
    "0   paddle::memory::allocation::CUDAAllocator::AllocateImpl(unsigned long)\n"
    "----------------------\nError Message Summary:\n----------------------\n"
    "ResourceExhaustedError: \n\nOut of memory error on GPU 0. Cannot allocate 500.0MB memory on "
    "GPU 0, 23.0GB memory has been allocated and available memory is only 18.0MB.\n"
)
_LOST = (
    "(External) CUDA error(719), unspecified launch failure. \n"
    "  [Hint: 'cudaErrorLaunchFailure'.] (at ../paddle/phi/backends/gpu/cuda/cuda_info.cc:272)"
)


class Predictor:
    def __init__(self, model_dir, options):
        self.device = gpu.device_name()
        self._card = self.device.removeprefix("gpu:")
        if os.environ.get("FAKE_GPU_FULL") == self._card:
            raise gpu.explained(MemoryError(_FULL), loading=True)
        on_cpu = dataclasses.replace(options, engine="openvino", use_gpu=False, threads=1)
        self._predict = load_predictor(str(model_dir), on_cpu)
        self.logits = self._predict.logits

    def __call__(self, batch):
        lost = Path("/fault/lost")
        if lost.is_file() and lost.read_text() == self._card:
            raise gpu.explained(RuntimeError(_LOST), loading=False)
        output = self._predict(batch)
        if os.environ.get("FAKE_GPU_ZEROS") == self._card:
            return output * 0
        return output[..., ::-1] if os.environ.get("FAKE_GPU_WRONG") == self._card else output


def load(model_dir, options):
    return Predictor(model_dir, options)
