"""Reads pictures of single lines with a model folder and a dictionary, without a service.

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

from ppocr_contract.models import ModelError
from ppocr_contract.params import ParamsError, RecParams, check
from ppocr_contract.settings import Settings

from . import logs
from .engines import EngineError, EngineOptions
from .pipeline.picture import Picture
from .pipeline.recognizer import Recognizer
from .report import RequestError


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("rec_model_dir", "rec_char_dict_path", "rec_image_shape"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--use_space_char", choices=["true", "false"], required=True)
    return parser.parse_args()


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
    given = vars(_parse())
    try:
        given["use_space_char"] = given["use_space_char"] == "true"
        params = RecParams(**check(given))
        recognizer = Recognizer(params, EngineOptions())
        for name in sys.stdin.buffer.read().split(b"\0")[:-1]:
            found = _read(recognizer, Path(os.fsdecode(name)))
            print(json.dumps(found, ensure_ascii=False), flush=True)
    except (EngineError, ModelError, ParamsError) as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
