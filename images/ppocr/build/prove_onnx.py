"""Compares a converted model with its original on pages: ``prove_onnx.py MADE ORIGINAL STAGE``.

The folder MADE has inference.onnx, which OpenVINO runs. An original of Paddle 3 is run by Paddle,
one of Paddle 2 by OpenVINO, which reads that form itself. Runs in the converter's environment.
Prints one line; exit status 1 if the outputs differ by more than the tolerance, or a recogniser's
characters differ.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import paddle
from PIL import Image, ImageDraw, ImageFont

#: Of outputs, which are probabilities.
TOLERANCE = 1e-3
#: Height and width of the pictures where the model leaves them open: lines, and pages.
_LINE_HEIGHT, _LINE_WIDTHS = 48, (320, 480, 1120)
_PAGES = ((640, 640), (736, 960))
_BATCHES = (1, 2)
#: How OpenVINO names the operators it could not convert.
_FAILED = re.compile(r"Conversion is failed for: (.+)")
_WORDS = (
    "Invoice 2023-11-27",
    "Total: 1,284.50",
    "PaddleOCR serves this line",
    "0123456789 ABCxyz",
)


def drawn(height: int, width: int, seed: int) -> np.ndarray:
    """A picture with words in it: float32 (3, h, w) in -1 .. 1."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (width, height), (248, 246, 240))
    pen, size = ImageDraw.Draw(picture), 26 if height >= 48 else height // 2
    font = ImageFont.load_default(size)
    for number, top in enumerate(range(max(0, (height % 60 - size) // 2), height, 60)):
        words = _WORDS[(seed + number) % len(_WORDS)]
        pen.text((8 + int(random.integers(24)), top), words * 2, font=font, fill=(20, 20, 40))
    pixels = np.asarray(picture, np.float32) + random.normal(0, 6, (height, width, 3))
    return (pixels.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)


def shapes(stage: str, given: ov.PartialShape) -> list[tuple[int, int]]:
    """Heights and widths to compare at; sizes that the model fixes are used as they are."""
    fixed = [dimension.get_length() if dimension.is_static else 0 for dimension in list(given)[2:]]
    usual = _PAGES if stage == "det" else [(_LINE_HEIGHT, width) for width in _LINE_WIDTHS]
    found = [(fixed[0] or height, fixed[1] or width) for height, width in usual]
    return list(dict.fromkeys(found))


def characters(output: np.ndarray) -> list[list[int]]:
    """What CTC makes of each line: the best class of each step, repetitions and blanks left out."""
    best = output.argmax(-1)
    return [
        [int(c) for c, before in zip(line, [0, *line[:-1]], strict=True) if c and c != before]
        for line in best
    ]


def read(program: Path) -> ov.CompiledModel:
    return ov.Core().compile_model(program, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def answers_of(original: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function from a batch of pictures to the original's first output."""
    paddle_2 = original / "inference.pdmodel"
    if paddle_2.is_file():
        model = read(paddle_2)
        return lambda pictures: model(pictures)[0]
    config = paddle.inference.Config(str(original), "inference")
    config.disable_glog_info()
    config.disable_gpu()
    predictor = paddle.inference.create_predictor(config)
    entry = predictor.get_input_handle(predictor.get_input_names()[0])
    result = predictor.get_output_handle(predictor.get_output_names()[0])

    def answer(pictures: np.ndarray) -> np.ndarray:
        entry.copy_from_cpu(pictures)
        predictor.run()
        return np.asarray(result.copy_to_cpu())

    return answer


def prove(made: Path, original: Path, stage: str) -> str:
    right_answer = answers_of(original)
    try:
        model = read(made / "inference.onnx")
    except RuntimeError as error:
        failed = _FAILED.search(str(error))
        on = f"operator {failed[1]}" if failed else " ".join(str(error).split())
        sys.exit(f"OpenVINO cannot load what paddle2onnx makes of it: {on}")
    worst, lines = [], 0
    for height, width in shapes(stage, model.input(0).get_partial_shape()):
        for batch in _BATCHES:
            pictures = np.stack([drawn(height, width, seed) for seed in range(batch)])
            right, found = right_answer(pictures), model(pictures)[0]
            if found.shape != right.shape:
                sys.exit(f"its output has the shape {found.shape}, the original's {right.shape}")
            worst.append(float(np.abs(found - right).max()))
            if stage == "rec" and characters(found) != characters(right):
                sys.exit("it reads other characters than the original")
            lines += batch
    most = max(worst)
    if not all(difference <= TOLERANCE for difference in worst):  # NaN fails, too
        sys.exit(f"its outputs differ from the original's by {most:.2g}, more than {TOLERANCE}")
    return f"on {lines} drawn pictures its outputs differ from the original's by {most:.1g} at most"


if __name__ == "__main__":
    os.environ["FLAGS_enable_pir_api"] = "1"  # noqa: SIM112 - Paddle's own name
    print(prove(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
