"""The OCR pipeline: find lines, turn them upright, read them.

Pre- and post-processing operators are rapidocr's, adjusted where PaddleOCR's own pipeline
(tools/infer/predict_system.py) differs, so that the answers are those of the stock service.
"""

from importlib.util import find_spec

from ..missing_packages import stub

# Half a second of start-up: rapidocr's own way to find and load models, and to draw results.
_REMEDY = "this service loads models with ppocr_serving.engines and draws nothing"
if find_spec("rapidocr"):  # unit tests of what needs none of it have it not
    for _part in ("inference_engine", "utils.model_resolver", "utils.vis_res"):
        stub(f"rapidocr.{_part}", _REMEDY)
