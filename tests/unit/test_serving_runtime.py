"""The models of a worker: loaded once, and tried again where that failed."""

import importlib
import sys
from types import SimpleNamespace

import pytest
from ppocr_serving import known_line, runtime
from ppocr_serving.engines import EngineError, EngineOptions

from ppocr_contract.params import ClsParams, DetParams

OPTIONS = EngineOptions(engine="paddle")


@pytest.fixture
def made(monkeypatch):
    """The stages that were made, by kind; a kind in ``full`` fails."""
    made = SimpleNamespace(kinds=[], full=set())

    def prove(kind, make, params, options):
        made.kinds.append(kind)
        if kind in made.full:
            raise EngineError("the card is full")
        return make()

    class Stage:
        def with_params(self, params):
            return self

    importlib.import_module("ppocr_serving.pipeline")  # which looks for rapidocr
    for name in ("Classifier", "Detector", "Recognizer"):
        module = SimpleNamespace(**{name: Stage})
        monkeypatch.setitem(sys.modules, f"ppocr_serving.pipeline.{name.lower()}", module)
    monkeypatch.setattr(known_line, "proved", prove)
    monkeypatch.setattr(runtime, "_begun", {})
    return made


def test_a_stage_is_loaded_once_whatever_requests_ask_of_it(made):
    first = runtime.detector(DetParams(), OPTIONS)
    assert runtime.detector(DetParams(det_limit_side_len=640), OPTIONS) is first
    assert made.kinds == ["det"]
    runtime.detector(DetParams(det_model_dir="/another"), OPTIONS)
    assert made.kinds == ["det", "det"]


def test_what_failed_is_tried_again_and_what_is_loaded_stays(made):
    detector = runtime.detector(DetParams(), OPTIONS)
    made.full = {"cls"}
    with pytest.raises(EngineError, match="the card is full"):
        runtime.classifier(ClsParams(), OPTIONS)
    made.full = set()
    runtime.classifier(ClsParams(), OPTIONS)
    assert runtime.detector(DetParams(), OPTIONS) is detector
    assert made.kinds == ["det", "cls", "cls"]
