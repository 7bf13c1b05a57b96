"""text_correction: finds likely wrong characters in texts, and what was likely meant."""

from paddlehub.module.module import moduleinfo, serving
from ppocr_serving import request_options
from ppocr_serving.hubmodule import params_beside
from ppocr_serving.textmodule import TextModule, debug


@moduleinfo(
    name="text_correction",
    version="1.0.0",
    summary="Text correction",
    author="ppocr-deploy",
    author_email="",
    type="nlp/text_correction",
)
class TextCorrection(TextModule):
    """Text correction: a list for each text, with a list for each finding in it."""

    request_options = request_options.CORRECTION

    def read_params(self):
        return params_beside(__file__)

    @serving
    def serving_method(self, **kwargs):
        return self.answer(**kwargs)


if __name__ == "__main__":
    debug(TextCorrection)
