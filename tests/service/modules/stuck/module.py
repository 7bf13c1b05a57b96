"""A module that does what no module should: waits, fails, eats memory, dies."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

from paddlehub.module.module import moduleinfo, serving
from ppocr_serving.hubmodule import OcrModule


@moduleinfo(name="stuck", version="1.0.0", summary="", author="", author_email="", type="test")
class Stuck(OcrModule):
    _eaten: ClassVar = []

    def read_params(self):
        return SimpleNamespace(gpu_mem=0)

    def pipeline(self):
        return SimpleNamespace(device="cpu")

    def predict(self, images):
        return []

    @serving
    def serving_method(self, gate="", eat=0, fail="", die=False):
        """``gate``: wait until the test has made a file of this name (see Service.open_gate)."""
        while gate and not Path("/gates", gate).exists():
            time.sleep(0.02)
        self._eaten.append(b"x" * (eat * 1_000_000))
        if fail:
            raise RuntimeError(f"cannot open /opt/secret/{fail}")
        if die:
            os._exit(9)
        return [[]]
