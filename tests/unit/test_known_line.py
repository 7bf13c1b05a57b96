"""What a model has to answer before it serves; through HTTP, on cards: tests/service."""

import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ppocr_serving import engines, known_line
from ppocr_serving.engines import EngineError, EngineOptions

from ppocr_contract.models import MODELS_ROOT

BATCH = np.zeros((1, 3, 8, 8), np.float32)
ZEROS, HALVES = np.zeros((1, 4, 9)), np.full((1, 4, 9), 0.5)
ANSWERS = np.arange(36.0).reshape(1, 4, 9)
NO_NUMBERS = np.where(ANSWERS == 3, np.nan, 1)


@pytest.fixture
def predictor(monkeypatch):
    """Load a predictor that gives these outputs in turn."""

    def load(*outputs, device="gpu:1"):
        made = SimpleNamespace(device=device, logits=False)
        given = iter(outputs)

        class Engine(SimpleNamespace):
            def __call__(self, batch):
                return next(given)

        module = SimpleNamespace(load=lambda folder, options: Engine(**vars(made)))
        monkeypatch.setitem(sys.modules, "ppocr_serving.engines.onnxruntime", module)
        return engines.load_predictor("/models/rec", EngineOptions(engine="onnxruntime"))

    return load


@pytest.mark.parametrize(("output", "value"), [(ZEROS, "0"), (HALVES, "0.5"), (NO_NUMBERS, "nan")])
def test_a_first_output_that_says_nothing_is_refused_at_every_try(predictor, output, value):
    predict = predictor(output, output)
    for _ in range(2):
        with pytest.raises(EngineError) as raised:
            predict(BATCH)
        assert str(raised.value).startswith(
            "gpu:1 computes wrong: the model in /models/rec answers a picture with nothing but "
            f"{value}: look for Xid and NVRM lines in dmesg of the host, choose another card"
        )


def test_on_a_cpu_only_what_is_no_number_is_refused(predictor):
    """A detector in int8 may well find nothing in the first picture."""
    assert predictor(ZEROS, device="cpu")(BATCH) is ZEROS
    with pytest.raises(EngineError, match=r"^cpu computes wrong: .*: name another model in ppocr"):
        predictor(NO_NUMBERS, device="cpu")(BATCH)


def test_only_the_first_output_is_looked_at(predictor):
    predict = predictor(ANSWERS, ZEROS)
    assert predict(BATCH) is ANSWERS and predict.device == "gpu:1"
    assert predict(BATCH) is ZEROS  # a blank picture may be answered so


@pytest.fixture
def record(tmp_path, monkeypatch):
    monkeypatch.setattr(known_line, "RECORD", tmp_path / "known-line")
    return known_line.RECORD


def reading(text, device):
    """Makes a recogniser that reads this in every line."""
    line = SimpleNamespace(text=text)
    stage = SimpleNamespace(device=device, tasks=list, read=lambda tasks: [line])
    return lambda params, options: stage


def proved(text, folder=f"{MODELS_ROOT}/rec", device="gpu:1"):
    params = SimpleNamespace(rec_model_dir=folder)
    return known_line.proved("rec", reading(text, device), params, EngineOptions())


def test_what_the_image_read_right_has_to_be_read_right(record):
    record.write_text("det rec\n")
    assert proved("ready").device == "gpu:1"
    with pytest.raises(EngineError, match=r"^gpu:1 computes wrong: the model in \S+/rec misreads"):
        proved("teady")


def test_a_cpu_that_misreads_it_serves_and_says_which_settings_matter(record, caplog):
    """Another precision or shape of the operator's may change a letter."""
    record.write_text("det rec\n")
    with caplog.at_level(logging.WARNING):
        assert proved("readv", device="cpu")
    assert "/rec misreads ready.png, which it read right" in caplog.text
    assert "hubserving_precision" in caplog.text and "rec_image_shape" in caplog.text


@pytest.mark.parametrize("recorded", [None, "", "det cls\n"])
def test_a_model_that_misread_it_then_is_not_held_to_it(record, recorded):
    if recorded is not None:
        record.write_text(recorded)
    assert proved("иеаду")


def test_further_recognisers_are_held_to_what_each_read(record):
    record.write_text("det cls recognizers/latin\n")
    with pytest.raises(EngineError, match="/recognizers/latin misreads"):
        proved("", folder=f"{MODELS_ROOT}/recognizers/latin")
    assert proved("", folder=f"{MODELS_ROOT}/recognizers/cyrillic")
    assert proved("", folder=f"{MODELS_ROOT}/rec")


def test_a_mounted_model_is_not_held_to_it(record):
    record.write_text("det cls rec\n")
    assert proved("", folder="/srv/my_rec")
