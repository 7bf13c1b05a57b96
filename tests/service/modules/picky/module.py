"""An operator's module on our base that fails on some pictures: on dark ones, and on red ones."""

from types import SimpleNamespace

from paddlehub.module.module import moduleinfo, serving
from ppocr_serving.hubmodule import OcrModule


@moduleinfo(name="picky", version="1.0.0", summary="", author="", author_email="", type="test")
class Picky(OcrModule):
    def read_params(self):
        return SimpleNamespace(gpu_mem=0)

    def pipeline(self):
        return SimpleNamespace(device="cpu")

    def predict(self, images):
        """Per image its size."""
        for image in images:
            if image.mean() < 10:
                raise RuntimeError("cannot open /opt/secret/dark")
            if image[0, 0].tolist() == [0, 0, 255]:
                raise MemoryError("/opt/secret/red")
        return [[{"size": list(image.shape[1::-1])}] for image in images]

    @serving
    def serving_method(self, images=None, **kwargs):
        return self.answer(images, **kwargs)
