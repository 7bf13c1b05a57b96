"""ocr_cls: tells whether each image, one line of text, is turned by 180 degrees."""

from paddlehub.module.module import moduleinfo, serving
from ppocr_serving import runtime
from ppocr_serving.hubmodule import OcrModule, debug, params_beside


@moduleinfo(
    name="ocr_cls",
    version="1.0.0",
    summary="Text direction",
    author="ppocr-deploy",
    author_email="",
    type="cv/text_recognition",
)
class OCRCls(OcrModule):
    """Text direction."""

    def read_params(self):
        return params_beside(__file__)

    def pipeline(self):
        return runtime.classifier(self.params, self.options)

    def predict(self, images):
        """One list for the request of {"angle", "confidence"}, one entry a line."""
        classify = self.pipeline()
        return self.together(
            images,
            lambda lines: [
                {"angle": angle, "confidence": confidence} for angle, confidence in classify(lines)
            ],
        )

    @serving
    def serving_method(self, images=None, **kwargs):
        return self.answer(images, **kwargs)


if __name__ == "__main__":
    debug(OCRCls)
