"""ocr_det: finds the lines of each image."""

from paddlehub.module.module import moduleinfo, serving
from ppocr_serving import request_options, runtime
from ppocr_serving.hubmodule import OcrModule, debug, params_beside


@moduleinfo(
    name="ocr_det",
    version="1.0.0",
    summary="Text detection",
    author="ppocr-deploy",
    author_email="",
    type="cv/text_recognition",
)
class OCRDet(OcrModule):
    """Text detection."""

    request_options = request_options.DETECTION

    def read_params(self):
        return params_beside(__file__)

    def pipeline(self):
        return runtime.detector(self.params, self.options)

    def predict(self, images):
        """Per image a list of {"text_region"}, in the detector's own order as in stock."""
        return [
            [{"text_region": box.astype(int).tolist()} for box in boxes]
            for boxes in self.threads.map(self.pipeline(), images)
        ]

    @serving
    def serving_method(self, images=None, **kwargs):
        return self.answer(images, **kwargs)


if __name__ == "__main__":
    debug(OCRDet)
