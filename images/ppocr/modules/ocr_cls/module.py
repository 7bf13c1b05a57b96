"""ocr_cls: tells whether each image, one line of text, is turned by 180 degrees."""

from paddlehub.module.module import moduleinfo, serving
from ppocr_serving import runtime
from ppocr_serving.hubmodule import SingleStageModule, debug, params_beside


@moduleinfo(
    name="ocr_cls",
    version="1.0.0",
    summary="Text direction",
    author="ppocr-deploy",
    author_email="",
    type="cv/text_recognition",
)
class OCRCls(SingleStageModule):
    """Text direction."""

    def read_params(self):
        return params_beside(__file__)

    def pipeline(self):
        return runtime.classifier(self.params, self.options)

    def predict(self, images):
        """For each image {"angle", "confidence"}."""
        found = self.threads.run(self.pipeline(), images)
        return [{"angle": angle, "confidence": confidence} for angle, confidence in found]

    @serving
    def serving_method(self, images=None, **kwargs):
        return self.answer(images, **kwargs)


if __name__ == "__main__":
    debug(OCRCls)
