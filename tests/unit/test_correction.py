"""Text correction: the search for what was meant, evidence, and the form of a finding."""

import importlib
import json
import sys
import threading
from types import SimpleNamespace

import pytest
from ppocr_serving import memory
from ppocr_serving.correction import corrector, lattice, lines
from ppocr_serving.correction.candidates import Alike
from ppocr_serving.report import Report, RequestError
from ppocr_serving.threads import Threads

from ppocr_contract.models import ModelError
from ppocr_contract.params import CorrectionParams
from ppocr_contract.settings import Settings

#: Logarithms of the probabilities of words, whatever stands before them.
WORDS = {"为什么": -2.0, "你": -2.0, "不": -2.0, "回家": -3.0, "口": -5.0, "家": -4.0, "公": -5.0}


class Words:
    """A language model of single words; an unknown one is very unlikely."""

    words = frozenset(WORDS)
    beginnings = frozenset(word[:end] for word in WORDS for end in range(1, len(word) + 1))

    def start(self):
        return ()

    def follow(self, state, word):
        return WORDS.get(word, -7.0), (*state, word)

    def end(self, state):
        return 0.0


@pytest.fixture
def guide(tmp_path, monkeypatch):
    """A corrector that knows these words, and the alike characters of the guide's sentence."""
    alike = {"公": {"shape": {"么": 0.8}}, "口": {"shape": {"回": 0.71}}, "不": {"shape": {}}}
    (tmp_path / corrector.ALIKE).write_text(json.dumps(alike))
    (tmp_path / corrector.LANGUAGE_MODEL).touch()
    monkeypatch.setattr(corrector, "LanguageModel", lambda path: Words())
    return corrector.Corrector(tmp_path)


def found(findings):
    return [(each.place, each.wrong, each.right) for each in findings]


def test_the_guide_s_sentence_has_the_guide_s_findings(guide):
    findings = guide.findings("为什公你不口家", 4.5)
    assert [each.answered() for each in findings] == [
        [{"err": "公"}, {"fix": "么"}, {"startIdx": "2"}, {"endIdx": "3"}],
        [{"err": "口"}, {"fix": "回"}, {"startIdx": "5"}, {"endIdx": "6"}],
    ]


def test_a_weak_finding_counts_only_beside_a_sure_one(guide):
    assert guide.findings("为什么你不口家", 4.5) == []
    assert found(guide.findings("为什么你不口家", 1)) == [(5, "口", "回")]
    assert guide.findings("为什么你不回家", 0.01) == []


def test_places_are_those_of_the_whole_text(guide):
    assert found(guide.findings("AB，为什公你。C公", 2)) == [(5, "公", "么")]


def test_foreign_names_are_left_alone(guide):
    assert guide.findings("为什公·你", 0) == guide.findings("", 0) == []


def test_second_choices_take_the_place_of_alike_characters(guide):
    text, none = "为什公你不口家", {}
    choices = [none, none, {"么": -0.5}, none, none, none, none]
    assert found(guide.findings(text, 4.5, choices)) == [(2, "公", "么")]
    # Read so surely that no sentence could make it doubtful.
    assert guide.findings(text, 0.5, [none, none, {"么": -30.0}, *[none] * 4]) == []


def test_second_choices_of_no_character_or_several_are_left_out(guide):
    # An empty line of a dictionary is one: without the fifth character the text would be likelier.
    choices = [{} if place != 4 else {"": -0.1, "不你": -0.1} for place in range(7)]
    assert guide.findings("为什么你口不回", 0.1, choices) == []


def test_a_long_text_is_found_in_pieces(guide):
    assert len(guide.findings("为什公你不" * 100, 4.5)) == 100


def test_one_character_of_a_word_is_taken_for_another_at_most():
    candidates = [{}, {"什": -1.0}, {"么": -1.0}]
    assert lattice.best(Words(), "为甚公", candidates, True).text == "为甚公"
    assert lattice.best(Words(), "为什公", candidates, True).text == "为什么"


def test_a_rare_word_is_believed_of_a_picture_only(monkeypatch):
    candidates = [{}, {"什": -1.0}, {}]
    monkeypatch.setitem(WORDS, "为什么", -12.0)  # unknown characters have -7 each
    assert lattice.best(Words(), "为甚么", candidates, True).text == "为什么"
    assert lattice.best(Words(), "为甚么", candidates, False).text == "为甚么"


def test_a_numeral_is_not_taken_for_another(guide, monkeypatch):
    monkeypatch.setitem(WORDS, "二", -0.5)
    for known in ("words", "beginnings"):
        monkeypatch.setattr(Words, known, getattr(Words, known) | {"二"})
    for text, findings in (("为什么三你", []), ("为什么儿你", [(3, "儿", "二")])):
        choices = [{} if place != 3 else {"二": -0.1} for place in range(5)]
        assert found(guide.findings(text, 1, choices)) == findings


def test_the_cheaper_of_two_reasons_counts(tmp_path):
    table = tmp_path / "alike.json"
    table.write_text(json.dumps({"公": {"same": "工", "shape": {"工": 1.0, "么": 0.8}}}))
    costs = Alike(table).of("公")
    assert costs["工"] > costs["么"] and Alike(table).of("x") == {}


def test_an_image_without_the_data_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no zh_CN.lm and no alike.json.*hubserving_modules"):
        corrector.Corrector(tmp_path)
    for name in (corrector.LANGUAGE_MODEL, corrector.ALIKE):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        corrector.Corrector(tmp_path)


def test_lines_are_corrected_without_an_inference_thread_asking_for_the_model(guide, monkeypatch):
    # One that asked could wait for whoever loads another model, who waits for such a thread.
    asking = []

    def asked():
        asking.append(threading.current_thread())
        return guide

    monkeypatch.setattr(lines, "corrector", asked)
    read = [SimpleNamespace(text="为什公你不口家", choices=()) for _ in range(3)]
    found = lines.of_lines(read, 4.5, Threads(2))
    assert [len(findings) for findings in found] == [2, 2, 2]
    assert asking == [threading.main_thread()]


@pytest.fixture
def module(guide, monkeypatch):
    """The module of texts, without PaddleHub."""
    paddlehub = SimpleNamespace(RunModule=object)
    monkeypatch.setitem(sys.modules, "paddlehub", paddlehub)
    monkeypatch.setitem(sys.modules, "paddlehub.module", paddlehub)
    monkeypatch.setitem(sys.modules, "paddlehub.module.module", paddlehub)
    for name in ("ppocr_serving.served_module", "ppocr_serving.textmodule"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]  # it is taken out again after the test
    textmodule = importlib.import_module("ppocr_serving.textmodule")
    monkeypatch.setattr(textmodule, "check", lambda: None)
    monkeypatch.setattr(textmodule, "corrector", lambda: guide)
    monkeypatch.setattr(textmodule.TextModule, "read_params", lambda self: CorrectionParams())
    return textmodule.TextModule(use_gpu=False)


def test_texts_are_answered_in_their_order(module):
    texts = ["为什么你不回家", "为什公你不口家"]
    assert [len(findings) for findings in module.respond(Report(), {"texts": texts})] == [0, 2]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (None, "texts must be a list of at least one text"),
        ([], "texts must be a list of at least one text"),
        (["x", None], r"texts\[1\] is not a string"),
        (["x"] * (Settings().texts_limit + 1), "hubserving_texts_limit"),
        (["x" * (Settings().characters_limit + 1)], "hubserving_characters_limit"),
    ],
)
def test_malformed_texts_are_refused(module, texts, said):
    with pytest.raises(RequestError, match=said):
        module.respond(Report(), {"texts": texts})


def test_memory_for_pictures_is_measured_anew_behind_the_language_model(module):
    before = memory.room(Settings(), 1, 1)
    module.warm_up()
    assert memory.room(Settings(), 1, 1) is not before
    memory.forget_room()
