"""ocr_system: finds the lines of each image, turns them upright and reads them."""

from paddlehub.module.module import moduleinfo, serving
from ppocr_serving import request_options, runtime
from ppocr_serving.hubmodule import OcrModule, debug, params_beside


@moduleinfo(
    name="ocr_system",
    version="1.0.0",
    summary="Text detection, direction and recognition in a row",
    author="ppocr-deploy",
    author_email="",
    type="cv/text_recognition",
)
class OCRSystem(OcrModule):
    """Detection, direction and recognition."""

    request_options = request_options.SYSTEM

    def read_params(self):
        return params_beside(__file__)

    def pipeline(self):
        return runtime.system(self.params, self.options)

    def predict(self, images):
        """Per image a list of {"text", "confidence", "text_region"}, in reading order.

        With ``return_word_box`` each has its words, too: {"text", "text_region"}.
        """
        words = self.params.return_word_box
        pages = self.pipeline()(images)
        return [[self._answered(line, words) for line in lines] for lines in pages]

    @staticmethod
    def _answered(line, words):
        answer = {
            "text": line.text,
            "confidence": line.confidence,
            "text_region": line.box.astype(int).tolist(),
        }
        if words:
            answer["words"] = [
                {"text": word.text, "text_region": word.box.astype(int).tolist()}
                for word in line.words
            ]
        return answer

    @serving
    def serving_method(self, images=None, **kwargs):
        return self.answer(images, **kwargs)


if __name__ == "__main__":
    debug(OCRSystem)
