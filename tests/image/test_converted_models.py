"""The detection model is converted once, in the build; served otherwise, it answers the same."""

import json

import pytest

from ppocr_contract.precision import VERDICT_FILE
from tests.containers import PORT, SAMPLES, docker, encoded, lay_out
from tests.unit.role_code import ROOT

BUILD = ROOT / "images/ppocr/build"
CONVERT = BUILD / "convert_models.py"
PACKAGES = "/opt/ppocr/venv/lib/python3.11/site-packages"
CONVERTER = f"{PACKAGES}/openvino/tools/ovc/moc_frontend/moc_emit_ir.py"
MODELS = "/opt/ppocr/models"


@pytest.fixture
def broken_converter(tmp_path):
    """The option that takes OpenVINO's converter out of a container."""
    file = tmp_path / "moc_emit_ir.py"
    file.write_text("raise ImportError('no such module')\n")
    tmp_path.chmod(0o755)
    return f"--volume={file}:{CONVERTER}:ro"


@pytest.fixture
def unconverted(tmp_path, image):
    """The option that mounts the models as they are before the build converts one.

    They keep the image's verdict on bf16.
    """
    folder = tmp_path / "mounted/models"
    mount = lay_out({}, folder)
    verdict = docker("run", "--rm", "--entrypoint=cat", image, f"{MODELS}/{VERDICT_FILE}").stdout
    (folder / VERDICT_FILE).write_text(verdict)
    return mount


def boxes(container):
    answers = []
    for sample in sorted(SAMPLES.glob("*.png")):
        status, answer = container.post("ocr_det", {"images": [encoded(sample.name)]})
        assert status == 200, answer
        answers.append(json.loads(answer)["results"])
    return answers


@pytest.fixture
def convert(image):
    """Run the build's step in a container; then look at what it made."""

    def run(*options, look="true"):
        return docker(
            "run", "--rm", "--network=none", f"--volume={BUILD}:/build:ro", *options,
            "--entrypoint=/bin/sh", image, "-c",
            f"python /build/convert_models.py /tmp/made && cd /tmp/made && {look}", check=False,
        )  # fmt: skip

    return run


def test_the_image_holds_what_converting_its_model_makes(convert):
    sums = "sha256sum det/bf16-*/model.*"
    done = convert(look=f"{sums} && cd {MODELS} && {sums} && grep -c bf16- manifest.json")
    *lines, recorded = done.stdout.splitlines()
    assert len(lines) == 4 and lines[:2] == lines[2:], done.stdout + done.stderr
    assert recorded == "2"


def test_what_cannot_be_converted_the_build_says_in_one_line(convert, broken_converter):
    done = convert(broken_converter, look="ls")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("note: model det is served in f32") and "convert_model" in line


@pytest.mark.parametrize(
    ("stage", "broken"), [("det", "pointer"), ("cls", "pointer"), ("rec", "cut")]
)
def test_what_cannot_be_read_ends_the_build(convert, tmp_path, stage, broken):
    folder = tmp_path / "models"
    mount = lay_out("PP-OCRv4-mobile", folder)
    if broken == "cut":
        file = folder / stage / "inference.pdiparams"
        file.write_bytes(file.read_bytes()[:100_000])
    else:
        text = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
        (folder / stage / "inference.pdmodel").write_text(text)
    done = convert(mount)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"ppocr_models.{stage}: OpenVINO cannot read inference.pdmodel: it is truncated"
    ), done.stdout + done.stderr


def test_an_altered_conversion_is_refused(run, image):
    name = docker("run", "--rm", image, "sh", "-c", f"ls {MODELS}/det/*/model.xml").stdout.strip()
    container = run(f"--volume={CONVERT}:{name}:ro")
    assert container.ended() == 2
    assert "model.xml is not the file the image was built with" in container.logs()


def test_the_images_own_model_needs_no_converter(run, gunicorn, broken_converter):
    assert boxes(run(*PORT, broken_converter).healthy()) == boxes(gunicorn)


def test_a_model_that_is_mounted_gives_the_same_boxes(run, gunicorn, unconverted):
    assert boxes(run(*PORT, unconverted).healthy()) == boxes(gunicorn)


def test_one_that_cannot_be_converted_is_served_in_f32(run, unconverted, broken_converter):
    served = run(*PORT, unconverted, broken_converter).healthy()
    exact = run(*PORT, "--env=PPOCR_PRECISION=f32").healthy()
    assert boxes(served) == boxes(exact)
