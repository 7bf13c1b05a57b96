"""Decides whether the image's models may compute in bf16: ``choose_precision.py FOLDER``.

Reads drawn lines that are hard to read with the recognition model, in f32 and in bf16, and writes
the verdict (:mod:`ppocr_contract.precision`) and the manifest to a folder whose content belongs
beside the models. The lines are those whose characters the model knows. A builder without bf16 goes
by what a named model read elsewhere; of other models nothing is known then, and they get f32.
"""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
from environment import serves_on_cards
from ppocr_serving.cpus import available_cpus
from ppocr_serving.engines import EngineOptions
from ppocr_serving.pipeline.recognizer import Recognizer, characters_of
from ppocr_serving.precision import has_bf16
from ppocr_serving.threads import Threads

from ppocr_contract import params, precision
from ppocr_contract.models import read_manifest, recognizers, write_manifest
from ppocr_contract.precision import Reads, Verdict

#: Drawn by ``python -m tests.bench.reading --sample``.
LINES = Path(__file__).with_name("lines.zip")
#: The service's default (hubserving_width_step).
_WIDTH_STEP = 32

Lines = list[tuple[np.ndarray, str]]


def lines_of(characters: set[str], file: Path = LINES) -> Lines:
    """Pictures (BGR, uint8) of lines that have no other characters, and their texts."""
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
        texts = json.loads(archive.read("texts.json"))
        return [
            (_decoded(archive.read(name)), text)
            for name, text in texts.items()
            if characters.issuperset(text)
        ]


def _decoded(picture: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR))


def right(lines: Lines, wanted: params.RecParams, hint: str) -> int:
    """How many lines the model of the image reads exactly with this precision."""
    cpus = available_cpus()
    options = EngineOptions(threads=cpus, precision=hint, width_step=_WIDTH_STEP)
    recognizer, threads = Recognizer(wanted, options), Threads(cpus)
    found = recognizer([picture for picture, _ in lines], threads)
    return sum(read == text for (read, _), (_, text) in zip(found, lines, strict=True))


def choose() -> Verdict:
    """The verdict on the models of the image: the strictest among its recognisers."""
    default: params.RecParams = params.read("ocr_rec")
    verdict = judge(default)
    for name in recognizers():
        if verdict.precision == precision.F32:
            break
        other = judge(dataclasses.replace(default, **params.of_recognizer(name)))
        if other.precision == precision.F32:
            verdict = dataclasses.replace(other, why=f"recognizer {name}: {other.why}")
    return verdict


def judge(wanted: params.RecParams) -> Verdict:
    """The verdict on one recogniser."""
    elsewhere = Path(wanted.rec_model_dir) / precision.READS_FILE
    if has_bf16():
        known = characters_of(Path(wanted.rec_char_dict_path), wanted.use_space_char)
        lines = lines_of(set(known))
        if len(lines) < precision.LEAST_LINES:
            why = f"the model's dictionary has the characters of {len(lines)} drawn lines only"
            return Verdict(precision.F32, why)
        # auto is what the service would do: bf16 by the CPU's own choice.
        exact, fast = (right(lines, wanted, hint) for hint in (precision.F32, "auto"))
        return precision.decide(Reads(len(lines), exact, fast), "read when the image was built")
    if elsewhere.is_file():
        reads = Reads(**json.loads(elsewhere.read_text()))
        return precision.decide(reads, "read before, as the builder's CPU has no bf16")
    why = "these models were never read in bf16, which the CPU that built the image has not"
    return Verdict(precision.F32, why)


def main(target: Path) -> None:
    if serves_on_cards():
        return
    began = time.monotonic()
    try:
        chosen = choose()
    except Exception as error:  # of the engine, the model or its dictionary
        said = " ".join(f"{type(error).__name__}: {error}".split())
        chosen = Verdict(precision.F32, f"the lines could not be read: {said}")
    chosen.write(target / precision.VERDICT_FILE)
    write_manifest(target, read_manifest())
    print(
        f"note: hubserving_precision auto is {chosen.precision} with these models: {chosen.why}; "
        f"this step took {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
