"""Reads drawn lines by turns and all at once, in the container: ``read_lines.py FOLDER``.

Prints JSON: ``plain``, what each line says when a session of any shape reads it alone, and
``batched``, what it says when requests of many sizes read all of them side by side.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
from ppocr_serving import report
from ppocr_serving.engines import EngineOptions
from ppocr_serving.pipeline.recognizer import Recognizer
from ppocr_serving.threads import Threads

from ppocr_contract import params

STEP = 160


class _Plain(Recognizer):
    """Every line alone, in a session that takes any shape: nothing is warmed or padded."""

    def _usual_shapes(self):
        return ()

    def batches(self, tasks):
        return [[index] for index in range(len(tasks))]


def main(folder: Path) -> None:
    lines = [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))]
    options = EngineOptions(engine="onnxruntime", threads=2, width_step=STEP)
    given = params.read("ocr_rec")
    plain = _Plain(given, dataclasses.replace(options, shapes=1))
    one = Threads(1)
    alone = [plain([line], one)[0][0] for line in lines]

    batched, threads = Recognizer(given, dataclasses.replace(options, shapes=6)), Threads(4)
    chance, requests, start = random.Random(7), [], 0  # noqa: S311
    while start < len(lines):
        size = chance.randint(1, 40)
        requests.append(lines[start : start + size])
        start += size

    def answer(request):
        with report.of_request():
            return [text for text, _ in batched(request, threads)]

    with ThreadPoolExecutor(8) as pool:
        together = [text for texts in pool.map(answer, requests) for text in texts]
    print(json.dumps({"plain": alone, "batched": together}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
