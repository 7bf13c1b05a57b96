"""Records which models read the known line correctly: ``record_known_line.py FILE``.

Runs in the Dockerfile with the image's Python, models and serving package, on the builder's CPU.
A model that misreads it, or that the CPU's engine cannot load, is not held to it later.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ppocr_serving import known_line
from ppocr_serving.engines import EngineOptions
from ppocr_serving.pipeline.classifier import Classifier
from ppocr_serving.pipeline.detector import Detector
from ppocr_serving.pipeline.recognizer import Recognizer

from ppocr_contract import models, params

_STAGES = {"det": Detector, "cls": Classifier, "rec": Recognizer}


def loaded_with() -> Iterator[tuple[str, str, Any]]:
    """The folder, the stage and the parameters of each model."""
    for kind in models.STAGES:
        yield kind, kind, params.read(f"ocr_{kind}")
    for name in models.recognizers():
        yield models.recognizer_place(name), "rec", params.RecParams(**params.of_recognizer(name))


def main(target: Path) -> None:
    right = []
    for place, kind, given in loaded_with():
        try:
            if known_line.is_right(kind, _STAGES[kind](given, EngineOptions())):
                right.append(place)
                continue
            said = "it misreads it"
        except Exception as error:  # of the engine, the model or its dictionary
            said = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"note: workers will not compare what model {place} reads of a known line: {said}")
    target.write_text(f"{' '.join(right)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
