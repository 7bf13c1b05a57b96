"""The engine of cards, on a CPU: the same batcher, buckets and threads, with another provider."""

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ppocr_control import command_line
from ppocr_control.images import models
from ppocr_control.images.model_sets import NAMED_SETS
from ppocr_control.progress import Progress
from ppocr_control.training import render
from smoke_tests.contract import normalise
from smoke_tests.samples import load_samples
from tests.containers import SAMPLES, encoded

HERE = Path(__file__).parents[1] / "onnxruntime"
#: All of them ONNX, so that nothing has to be converted.
_CLS = {
    **{key: NAMED_SETS["PP-OCRv6-small"]["det"].source()[key] for key in ("package", "sha256")},
    "path": "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
}
_MODELS = {"det": "PP-OCRv6-small", "cls": _CLS, "rec": "PP-OCRv6-small"}
_WORDS = 300
_CHARACTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """What gives a container of the image ONNX Runtime, and models it reads."""
    folder = tmp_path_factory.mktemp("onnxruntime")
    command = [sys.executable, "-m", "pip", "install", "-q", "--require-hashes", "--no-deps"]
    wheels = ["--only-binary=:all:", "--python-version=3.11", f"--target={folder / 'packages'}"]
    done = subprocess.run(
        [*command, *wheels, "-r", HERE / "requirements.lock"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cache = command_line.cache_folder() / "models"
    models.lay_out(models.resolve(_MODELS), folder / "models", cache)
    for path in (folder.parent, folder, folder / "packages"):
        path.chmod(0o755)
    return (
        "--env=PYTHONPATH=/packages", f"--volume={folder / 'packages'}:/packages:ro",
        f"--volume={folder / 'models'}:/opt/ppocr/models:ro", f"--volume={HERE}:/reading:ro",
    )  # fmt: skip


def test_samples_are_read(start, options):
    service = start(*options, init_args={"engine": "onnxruntime"}, gpu_shapes=1).ready()
    log = service.logs()
    assert "model rec: 1 of 1 shapes prepared" in log
    for sample in load_samples(SAMPLES):
        read = [normalise(text) for text in service.texts(sample.name)]
        assert read == [normalise(line) for line in sample.lines], sample.name


@pytest.mark.full
def test_a_large_request_does_not_hold_up_small_ones(start, options):
    """One request of 32 images in hand; small ones take their turns."""
    service = start(*options, init_args={"engine": "onnxruntime"}, gpu_shapes=1).ready()

    def read_many():
        body = {"images": [encoded("english.png")] * 32}
        answers.append(service.predict("ocr_system", body))

    answers, alone, beside = [], [], []
    large = threading.Thread(target=read_many)
    for times in (alone, beside):
        if times is beside:
            large.start()
            time.sleep(1)
        for _ in range(3):
            began = time.monotonic()
            service.predict("ocr_rec", {"images": [encoded("line.png")]})
            times.append(time.monotonic() - began)
    assert large.is_alive(), "the large request was too small to be beside it"
    print(f"\nalone {alone}, beside a request of 32 images {beside}")
    # As long as the machine itself is not the slower one.
    assert max(beside) < 2 + max(alone)
    large.join()
    status, answer = answers[0]
    assert status == 200 and len({json.dumps(result) for result in answer["results"]}) == 1


@pytest.mark.full
def test_a_thousand_drawn_lines_read_alike_in_batches_and_alone(start, options, tmp_path):
    chance = random.Random(11)  # noqa: S311
    words = ["".join(chance.choices(_CHARACTERS, k=chance.randint(2, 40))) for _ in range(_WORDS)]
    fonts = render.find_fonts([])
    render.render(words, 1000, render.Drawing(fonts[:1]), tmp_path, Progress("drawing", quiet=True))
    tmp_path.chmod(0o755)
    service = start(*options, f"--volume={tmp_path}:/lines:ro", memory="4g").ready()
    done = service.execute("python", "/reading/read_lines.py", "/lines/drawn")
    read = json.loads(done.stdout.splitlines()[-1])
    assert len(read["plain"]) == len(read["batched"]) == 1000
    pairs = zip(read["plain"], read["batched"], strict=True)
    assert [pair for pair in pairs if pair[0] != pair[1]] == []
