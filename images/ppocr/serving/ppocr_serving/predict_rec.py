"""Reads pictures of single lines with one recognition model, without a service.

What scripts/predict_rec.py runs in a container: PaddleOCR's tools/infer/predict_rec.py by the
options of the guide, with the service's pipeline and engine. Takes the pictures' paths, each ended
by a null byte, on standard input, and prints a JSON object a picture.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from ppocr_contract import models
from ppocr_contract.models import ModelError
from ppocr_contract.params import ParamsError, RecParams, check, of_recognizer
from ppocr_contract.settings import Settings

from . import logs
from .engines import EngineError, EngineOptions
from .pipeline.picture import Picture
from .pipeline.recognizer import Recognizer
from .report import RequestError


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recognizer")  # of the image; or all of the others
    for name in ("rec_model_dir", "rec_char_dict_path", "rec_image_shape"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--use_space_char", choices=["true", "false"])
    return parser.parse_args()


def _params(given: argparse.Namespace) -> RecParams:
    """What to read with.

    Raises:
        ModelError: the image has no such recogniser.
        ParamsError: a value will not do.
    """
    if not given.recognizer:
        values = {name: value for name, value in vars(given).items() if name != "recognizer"}
        return RecParams(**check(values | {"use_space_char": given.use_space_char == "true"}))
    known = (models.DEFAULT_RECOGNIZER, *models.recognizers())
    if given.recognizer not in known:
        raise ModelError(
            f"--recognizer: {given.recognizer!r} is not one of the image's, {', '.join(known)}"
        )
    return RecParams(**of_recognizer(given.recognizer))


def _read(recognizer: Recognizer, path: Path) -> dict[str, object]:
    """What is in one picture, or why it cannot be read."""
    try:
        image = Picture(path.read_bytes(), Settings().pixels).pixels()
    except (RequestError, OSError) as error:
        return {"error": str(error)}
    (line,) = recognizer.read(recognizer.tasks([image]))
    return {"text": line.text, "score": line.confidence}


def main() -> int:
    logs.set_up()
    try:
        recognizer = Recognizer(_params(_parse()), EngineOptions())
        for name in sys.stdin.buffer.read().split(b"\0")[:-1]:
            found = _read(recognizer, Path(os.fsdecode(name)))
            print(json.dumps(found, ensure_ascii=False), flush=True)
    except (EngineError, ModelError, ParamsError) as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
