"""bf16 only where it reads no fewer lines right: the rule, and what obeys its verdict."""

import dataclasses

import pytest
from ppocr_serving import precision as served

from ppocr_contract import precision
from ppocr_contract.models import MODELS_ROOT
from ppocr_contract.precision import Reads, Verdict
from ppocr_control.images import models
from ppocr_control.images.model_sets import NAMED_SETS

OF_IMAGE = [f"{MODELS_ROOT}/det", f"{MODELS_ROOT}/rec"]


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        (Reads(360, f32=300, bf16=300), "bf16"),
        (Reads(360, f32=300, bf16=301), "bf16"),
        (Reads(360, f32=300, bf16=299), "f32"),
        (Reads(360, f32=0, bf16=0), "f32"),  # a model that reads none of them proves nothing
        (Reads(99, f32=99, bf16=99), "f32"),  # nor does one that knows few of their characters
    ],
)
def test_bf16_is_for_models_that_read_no_fewer_lines_right_in_it(reads, expected):
    found = precision.decide(reads, "here")
    assert found.precision == expected
    assert f"bf16 read {reads.bf16} right, f32 {reads.f32} (here)" in found.why


def test_the_verdict_is_read_as_it_was_written(tmp_path):
    for given in (precision.decide(Reads(360, 300, 301), "here"), Verdict("f32", "never read")):
        given.write(tmp_path / precision.VERDICT_FILE)
        assert precision.verdict(tmp_path) == given


def test_models_without_a_verdict_are_served_in_f32(tmp_path):
    assert precision.verdict(tmp_path).precision == "f32"


@pytest.fixture
def image(monkeypatch):
    """Set what the image and this CPU are like."""

    def be(allowed, bf16=True):
        made = Verdict(allowed, "of 360 lines bf16 read 5 right")
        monkeypatch.setattr(precision, "verdict", lambda: made)
        monkeypatch.setattr(served, "has_bf16", lambda: bf16)

    return be


@pytest.mark.parametrize(("allowed", "expected"), [("bf16", "auto"), ("f32", "f32")])
def test_auto_is_what_the_image_s_verdict_says(image, allowed, expected):
    image(allowed)
    assert served.resolved("auto", OF_IMAGE) == expected
    said = served.described("auto", expected)
    assert said == f"{allowed}: of 360 lines bf16 read 5 right"


@pytest.mark.parametrize("asked", ["f32", "bf16"])
def test_the_operator_has_the_last_word(image, asked):
    for allowed in ("f32", "bf16"):
        image(allowed)
        assert served.resolved(asked, OF_IMAGE) == asked
        assert served.described(asked, asked) == f"{asked}, as hubserving_precision says"


def test_a_mounted_model_was_never_read_in_bf16(image):
    image("bf16")
    assert served.resolved("auto", [*OF_IMAGE, "/srv/my_rec"]) == "f32"
    assert served.described("auto", "f32").startswith("f32, as a model from outside the image")


@pytest.mark.parametrize("engine", ["onnxruntime", "paddle"])
def test_the_verdict_is_on_openvino_alone(engine):
    """With onnxruntime auto is TF32 on cards that have it (docs/gpu.md)."""
    assert served.resolved("auto", OF_IMAGE, engine) == "auto"


def test_a_cpu_without_bf16_is_named(image):
    image("bf16", bf16=False)
    assert served.described("auto", "auto") == "f32, as this CPU has no bf16"


def test_what_a_named_model_read_is_part_of_the_image(monkeypatch):
    before = models.fingerprint(models.resolve("PP-OCRv6-small"))
    rec = NAMED_SETS["PP-OCRv6-small"]["rec"]
    other = dataclasses.replace(rec, reads=Reads(300, f32=300, bf16=299))
    monkeypatch.setitem(NAMED_SETS["PP-OCRv6-small"], "rec", other)
    after = models.fingerprint(models.resolve("PP-OCRv6-small"))
    assert before["rec"] != after["rec"] and before["det"] == after["det"]
