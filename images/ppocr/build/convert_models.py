"""Converts the detection model to the precision that the CPU engine runs it in, at build time.

Reads the models in /opt/ppocr/models; writes what it makes of them to a folder whose content
belongs beside them. A model that the CPU engine cannot read ends the build, one that cannot be
converted is served in f32: the build says so and goes on.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import openvino as ov
from environment import serves_on_cards
from ppocr_serving.engines import mixed_precision
from ppocr_serving.pipeline.detector import EXACT_SHARE

from ppocr_contract.models import MODELS_ROOT, check_model, places, setting_of

#: The other stages are served in bf16 as they are.
STAGE = "det"
_REMEDY = (
    "it is truncated, only a pointer to the file (Git LFS), or keeps its weights in files of their "
    "own (ONNX external data): give the whole model, in one .onnx file or as Paddle exported it"
)


def check_all() -> None:
    """End with one sentence where a model cannot be read."""
    for place in places():
        program = check_model(MODELS_ROOT / place)
        try:
            ov.Core().read_model(program)
        except Exception as error:  # whatever OpenVINO's readers raise
            said = _said(error)[-300:]
            sys.exit(
                f"{setting_of(place)}: OpenVINO cannot read {program.name}: {_REMEDY} ({said})"
            )


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def main(target: Path) -> None:
    target.mkdir(parents=True)
    if serves_on_cards():
        return
    check_all()
    program = check_model(MODELS_ROOT / STAGE)
    folder = target / STAGE / mixed_precision.kept_in(program, EXACT_SHARE).name
    folder.mkdir(parents=True)
    try:
        mixed_precision.convert(program, EXACT_SHARE, folder)
    except Exception as error:  # whatever OpenVINO's converter raises
        shutil.rmtree(target / STAGE)
        print(
            f"note: model {STAGE} is served in f32, it cannot be converted to bf16: {_said(error)}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
