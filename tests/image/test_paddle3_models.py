"""Models of Paddle 3: made here, converted as the image's build does it, and read with."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppocr_control import command_line
from ppocr_control.errors import Error
from ppocr_control.images import build, context, models
from ppocr_control.progress import Progress
from tests.containers import PORT, docker
from tests.image.paddle3_networks import CELL, COLOURS
from tests.stock.stock_environment import stock_python
from tests.unit.role_code import ROOT

#: The first run makes an environment of 1.1 GB.
pytestmark = pytest.mark.full
BUILD = ROOT / "images/ppocr/build"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
WORD = "paddle3"


@pytest.fixture(scope="session")
def converter():
    """The environment of the lock that the build's first stage installs."""
    return stock_python(context.CONVERTER_LOCK).parents[1]


@pytest.fixture(scope="session")
def networks(converter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    script = Path(__file__).with_name("paddle3_networks.py")
    subprocess.run([converter / "bin/python", script, folder], check=True, capture_output=True)
    return folder


@pytest.fixture
def converted(converter, tmp_path):
    """Lay models out and convert them; return the folder and what the step printed."""

    def convert(given):
        folder = tmp_path / "served/models"
        models.lay_out(models.resolve(given), folder, command_line.cache_folder() / "models")
        done = subprocess.run(
            [sys.executable, BUILD / "to_onnx.py", converter, folder],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": "src"}, cwd=ROOT,
        )  # fmt: skip
        for path in (tmp_path, folder.parent):
            path.chmod(0o755)
        return folder, done

    return convert


def painted(word):
    """A line that the network reads as a word: PNG in base64."""
    line = np.full((48, 320, 3), 127.5, np.float32)
    for number, character in enumerate(word):
        left = CELL * (1 + 5 * number)
        line[:, left : left + 3 * CELL] += 127.5 * np.array(COLOURS[character])
    return base64.b64encode(
        cv2.imencode(".png", line.round().astype(np.uint8))[1].tobytes()
    ).decode()


def test_a_paddle_3_model_is_read_with(networks, converted, run):
    folder, done = converted({"rec": {"path": str(networks / "reads")}})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("note: model rec was converted to ONNX: on 9 drawn pictures")
    served = run(*PORT, f"--volume={folder}:/opt/ppocr/models:ro").healthy()
    status, answer = served.post("ocr_rec", {"images": [painted(WORD)]})
    assert status == 200, answer
    (((line,),),) = [json.loads(answer)["results"]]
    assert line["text"] == WORD and line["confidence"] > 0.9


def test_one_that_cannot_be_converted_is_refused_with_its_operator(networks, converted):
    _, done = converted({"rec": {"path": str(networks / "adaptive")}})
    assert done.returncode == 1
    assert done.stderr.startswith(
        "ppocr_models.rec: inference.json cannot be converted to ONNX, paddle2onnx fails on "
        "operator pool2d ([OP: pd_op.pool2d] Adaptive only support static input shape.): give "
    )


def test_one_that_answers_otherwise_is_refused(networks, converter, converted):
    """What it was converted from is another network than what it is compared with."""
    folder, _ = converted({"rec": {"path": str(networks / "reads")}})
    shutil.copytree(networks / "others", folder / "rec", dirs_exist_ok=True)
    proof = subprocess.run(
        [converter / "bin/python", BUILD / "prove_onnx.py", folder / "rec", "rec"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert proof.returncode == 1
    assert proof.stderr.endswith("it reads other characters than the original\n")


def test_the_build_ends_in_its_first_stage(networks):
    values = {
        "name": "ppocr-test", "version": "adaptive",
        "models": {"rec": {"path": str(networks / "adaptive")}},
        "ca_bundle": str(AUTHORITIES) if AUTHORITIES.is_file() else "",
    }  # fmt: skip
    with pytest.raises(Error, match=r"could not be built:\n(?s:.)*on operator pool2d") as refused:
        build.build(
            "ppocr-test:adaptive",
            context.ImageSettings.from_dict(values),
            build.Sources(),
            command_line.cache_folder(),
            Progress("building", quiet=True),
        )
    assert "make_venv.py" not in str(refused.value)
    assert not docker("image", "ls", "--quiet", "ppocr-test:adaptive").stdout
