"""The line that each stage reads as it is loaded, so in every worker and on every card.

A card or a library that does not fit computes wrong without an error. On a card each model has to
answer this picture with more than one value (:mod:`ppocr_serving.engines` sees to that), and a
model of the image that read it right when the image was built has to read it right there. On a CPU,
where precision and parameters are what may differ from the build's, a misread line is logged only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from ppocr_contract.models import MODELS_ROOT
from ppocr_contract.params import DetParams

from .engines import CPU, EngineOptions, computes_wrong

log = logging.getLogger(__name__)

PICTURE = Path(__file__).with_name("ready.png")
TEXT = "ready"
#: The folders of the image's models that read it right when the image was built.
RECORD = Path("/opt/ppocr/known-line")
_MISREADS = (
    f"misreads {PICTURE.name}, which it read right when the image was built, with f32 and default "
    "parameters (hubserving_precision; rec_image_shape, use_space_char, rec_char_dict_path and "
    "cls_image_shape in hubserving_params)"
)

#: By stage, whether it answers the picture right, whatever parameters it is served with; on an
#: inference thread.
_RIGHT: dict[str, Callable[[Any, Any], bool]] = {
    "det": lambda detector, page: len(detector.with_params(DetParams())(page)) > 0,
    "cls": lambda classifier, line: "180" not in classifier([line])[0][0],
    "rec": lambda recognizer, line: recognizer.read(recognizer.tasks([line]))[0].text == TEXT,
}


def is_right(kind: str, stage: Any) -> bool:
    """Whether a loaded stage (det, cls or rec) reads the picture correctly.

    Raises:
        EngineError: it computes no numbers; see :func:`ppocr_serving.engines.load_predictor`.
    """
    return _RIGHT[kind](stage, cv2.imread(str(PICTURE)))


def proved(kind: str, make: Callable[..., Any], params: Any, options: EngineOptions) -> Any:
    """Make a stage that has passed the test with the picture.

    Raises:
        EngineError: not as it has to on a card.
    """
    stage = make(params, options)
    model_dir = getattr(params, f"{kind}_model_dir")
    if not is_right(kind, stage) and _is_recorded(Path(model_dir)):
        if stage.device != CPU:
            raise computes_wrong(stage.device, model_dir, _MISREADS)
        log.warning("the model in %s %s", model_dir, _MISREADS)
    return stage


def _is_recorded(model_dir: Path) -> bool:
    places = RECORD.read_text().split() if RECORD.is_file() else []
    return model_dir in (MODELS_ROOT / place for place in places)
