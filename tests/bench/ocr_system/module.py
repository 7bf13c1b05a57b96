"""What people run today: PaddleOCR's TextSystem behind a plain PaddleHub module.

As deploy/hubserving of PaddleOCR does it: one TextSystem, images decoded with OpenCV one after the
other. Installed with ``hub install`` in the environment of ../requirements.lock.
"""

import base64
import sys
from pathlib import Path

from paddlehub.module.module import RunModule, moduleinfo, serving

BENCH = Path("@BENCH@")  # hub install copies this file: the path is written in by services.py


@moduleinfo(name="ocr_system", version="1.0.0", summary="", author="", author_email="", type="cv")
class OCRSystem(RunModule):
    def __init__(self, use_gpu=False, enable_mkldnn=False):
        super().__init__()
        sys.path.insert(0, str(BENCH.parent / "stock"))
        import predict

        self._read_lines = predict.read_lines
        # cls_batch_num as in hubserving's params.py; the rest is predict.SETTINGS.
        self._system = predict.build_system(enable_mkldnn=enable_mkldnn, cls_batch_num=30)

    def predict(self, images):
        return [self._read_lines(self._system, base64.b64decode(image)) for image in images]

    @serving
    def serving_method(self, images, **kwargs):
        return self.predict(images)
