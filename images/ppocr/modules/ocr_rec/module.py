"""ocr_rec: reads each image, one line of text."""

from paddlehub.module.module import moduleinfo, serving
from ppocr_serving import request_options, runtime
from ppocr_serving.hubmodule import SingleStageModule, debug, params_beside


@moduleinfo(
    name="ocr_rec",
    version="1.0.0",
    summary="Text recognition",
    author="ppocr-deploy",
    author_email="",
    type="cv/text_recognition",
)
class OCRRec(SingleStageModule):
    """Text recognition."""

    request_options = request_options.RECOGNITION

    def read_params(self):
        return params_beside(__file__)

    def pipeline(self):
        return runtime.recognizer(self.params, self.options)

    def predict(self, images):
        """For each image {"text", "confidence"}."""
        found = self.pipeline()(images, self.threads)
        return [{"text": text, "confidence": confidence} for text, confidence in found]

    @serving
    def serving_method(self, images=None, **kwargs):
        return self.answer(images, **kwargs)


if __name__ == "__main__":
    debug(OCRRec)
