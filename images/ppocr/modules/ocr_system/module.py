"""ocr_system: finds the lines of each image, turns them upright and reads them."""

from itertools import chain

from paddlehub.module.module import moduleinfo, serving
from ppocr_serving import request_options, runtime
from ppocr_serving.correction.lines import of_lines, require
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

    def respond(self, report, given):
        if self.params.text_correction:
            require()
        return super().respond(report, given)

    def predict(self, images):
        """Per image a list of {"text", "confidence", "text_region"}, in reading order.

        With ``return_word_box`` each has its words, too: {"text", "text_region"}; with
        ``text_correction`` the findings of the module of that name.
        """
        words = self.params.return_word_box
        pages = self.pipeline()(images)
        answers = [[self._answered(line, words) for line in lines] for lines in pages]
        if self.params.text_correction:
            lines = [line for page in pages for line in page]
            found = of_lines(lines, self.params.text_correction_gain, self.threads)
            for answer, findings in zip(chain.from_iterable(answers), found, strict=True):
                answer["text_correction"] = findings
        return answers

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
