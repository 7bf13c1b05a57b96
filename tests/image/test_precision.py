"""Whether bf16 is allowed is decided in the build, by reading, and obeyed by what is served."""

import json

import pytest

from ppocr_contract import precision
from ppocr_contract.precision import Reads
from ppocr_control.images.model_sets import NAMED_SETS
from tests.containers import PORT, docker, lay_out
from tests.unit.role_code import ROOT

BUILD = ROOT / "images/ppocr/build"
MODELS = "/opt/ppocr/models"


@pytest.fixture
def laid_out(tmp_path):
    """Lay out models as the control node does, with a verdict if one is given; return the mount."""

    def mounted(given, verdict=None):
        folder = tmp_path / given / "models"
        mount = lay_out(given, folder)
        if verdict:
            verdict.write(folder / precision.VERDICT_FILE)
        return mount

    return mounted


@pytest.fixture
def chosen(image):
    """Run the build's step in a container; return what it says, and its verdict.

    ``as_if`` is Python that changes the step ``c`` before it runs, into one on a CPU with bf16.
    """

    def run(*options, as_if="pass"):
        script = (
            f"import sys; sys.path.insert(0, '/build'); import choose_precision as c; {as_if}; "
            "from pathlib import Path; c.main(Path('/tmp'))"
        )
        done = docker(
            "run", "--rm", "--network=none", f"--volume={BUILD}:/build:ro", *options,
            "--entrypoint=/bin/sh", image, "-c",
            f'python -c "{script}" && cat /tmp/{precision.VERDICT_FILE} /tmp/manifest.json',
        )  # fmt: skip
        said, _, text = done.stdout.partition("{")
        verdict, _, manifest = text.partition('{\n "cls/')
        assert f'"{precision.VERDICT_FILE}"' in manifest
        return said, json.loads("{" + verdict)

    return run


BF16 = "c.has_bf16 = lambda: True"


@pytest.mark.parametrize(("fast", "expected"), [(300, "bf16"), (301, "bf16"), (299, "f32")])
def test_f32_it_is_where_bf16_reads_fewer_lines_right(chosen, fast, expected):
    counted = f"c.right = lambda lines, wanted, hint: dict(f32=300, auto={fast})[hint]"
    said, verdict = chosen(as_if=f"{BF16}; {counted}")
    assert said.startswith(f"note: hubserving_precision auto is {expected} with these models: of ")
    assert verdict["precision"] == expected
    assert verdict["reads"]["f32"] == 300 and verdict["reads"]["bf16"] == fast


def test_the_lines_are_really_read(chosen):
    short = "every = c.lines_of; c.lines_of = lambda known: sorted(every(known), key=lambda line: "
    short += "line[0].shape[1] / line[0].shape[0])[:100]"
    reads = chosen(as_if=f"{BF16}; {short}")[1]["reads"]
    assert reads["lines"] == 100 and min(reads["f32"], reads["bf16"]) > 60


def test_a_model_of_other_characters_gets_f32(chosen):
    few = "c.characters_of = lambda file, space: list('0123456789-')"
    _, verdict = chosen(as_if=f"{BF16}; {few}")
    assert verdict["precision"] == "f32" and "drawn lines only" in verdict["why"]


def test_a_builder_without_bf16_goes_by_what_the_named_model_read(chosen, laid_out):
    none = "c.has_bf16 = lambda: False"
    expected = precision.decide(NAMED_SETS["PP-OCRv4-mobile"]["rec"].reads, "read before, as")
    _, verdict = chosen(laid_out("PP-OCRv4-mobile"), as_if=none)
    assert verdict["precision"] == expected.precision == "f32"
    _, verdict = chosen(laid_out("PP-OCRv5-mobile"), as_if=none)
    assert verdict["precision"] == "f32" and "never read in bf16" in verdict["why"]


def test_the_service_says_what_the_image_s_verdict_is(gunicorn):
    recorded = json.loads(gunicorn.execute("cat", f"{MODELS}/{precision.VERDICT_FILE}").stdout)
    said = f"precision: {recorded['precision']}: {recorded['why']}"
    logs = gunicorn.logs()
    assert said in logs or "precision: f32, as this CPU has no bf16" in logs


def test_a_verdict_for_f32_is_obeyed(run, laid_out, write_config):
    """Whatever the CPU has."""
    reads = Reads(360, f32=300, bf16=299)
    mounted = laid_out("PP-OCRv4-mobile", precision.decide(reads, "a test"))
    config = write_config({"modules_info": {"ocr_rec": {"init_args": {}, "predict_args": {}}}})
    container = run(*PORT, mounted, *config).healthy()
    assert "precision: f32: of 360 lines bf16 read 299 right, f32 300 (a test)" in container.logs()
    ask = "from ppocr_serving.precision import resolved as r; "
    ask += "print(*(r(asked, ['/opt/ppocr/models/rec']) for asked in ('auto', 'bf16')))"
    assert container.execute("python", "-c", ask).stdout == "f32 bf16\n"
