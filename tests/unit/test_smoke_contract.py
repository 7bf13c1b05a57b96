"""Comparison of texts and checks of the hubserving contract."""

from __future__ import annotations

from typing import Any

import pytest

from smoke_tests import contract
from smoke_tests.client import Answer

REGION = [[1, 2], [30, 2], [30, 12], [1, 12]]


WORD = {"text": "a", "text_region": REGION}


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, body, str(body), 1.0)


def line(**changes: Any) -> dict[str, Any]:
    return {"text": "a", "confidence": 0.9, "text_region": REGION} | changes


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("PP-OCR", "PP-OCR", True),
        ("Ａ１：", "A1:", True),  # full width
        ("Hello World", "HelloWorld", True),
        ("a\u3000b", "a b", True),
        ("O", "0", False),
        ("Abc", "abc", False),
        ("中文", "中丈", False),
    ],
)
def test_only_width_and_white_space_are_normalised(left: str, right: str, same: bool) -> None:
    assert contract.same_line(left, right) is same


def test_lines_are_compared_in_reading_order() -> None:
    assert contract.compare_lines(["a", "b"], ["a", "b"]) == []
    assert len(contract.compare_lines(["a", "b"], ["b", "a"])) == 2
    assert contract.compare_lines(["a", "b"], ["a"]) == [
        "1 lines instead of 2",
        "line 2: 'b' is missing",
    ]
    assert contract.compare_lines([], ["a"])[1] == "line 1: 'a' is too many"


def test_a_success_has_nothing_wrong() -> None:
    assert contract.check_status(answer({"status": "000", "msg": "", "results": []})) == []
    assert contract.check_system_lines([line(), line(confidence=1)]) == []
    assert contract.check_det_boxes([{"text_region": REGION}]) == []
    assert contract.check_outer_list([[{"angle": "180", "confidence": 1.0}]], 1, "angle") == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (answer(None, 502), "not a JSON object"),
        (answer({"status": "101", "msg": "boom", "results": ""}), "boom"),
        (answer({"status": "111", "msg": "", "results": ""}), "not served"),
        (answer({"status": 0, "msg": "", "results": []}), "status 0"),
        (answer({"status": "000", "results": []}), 'lacks "msg"'),
        (answer({"status": "000", "msg": "", "results": {}}), "not a list"),
        (answer({"status": "401", "msg": "", "results": ""}, 401), "--token-file"),
        (answer({"status": "101", "msg": "this network", "results": ""}, 403), "this network"),
    ],
)
def test_a_failure_is_named(given: Answer, message: str) -> None:
    problems = contract.check_status(given)
    assert len(problems) == 1
    assert message in problems[0]


@pytest.mark.parametrize(
    "wrong",
    [
        line(confidence=1.01),
        line(confidence=True),
        line(confidence="0.9"),
        line(text=None),
        line(text_region=REGION[:3]),
        line(text_region=[[1.0, 2], *REGION[1:]]),
        line(text_region=[[True, 2], *REGION[1:]]),
        line(extra=1),
        {"text": "a"},
        "a",
    ],
)
def test_a_wrong_line_is_found(wrong: Any) -> None:
    assert len(contract.check_system_lines([line(), wrong])) == 1


def test_words_are_looked_at_where_they_were_asked_for() -> None:
    assert contract.check_system_lines([line(words=[WORD, WORD]), line(words=[])], words=True) == []
    (problem,) = contract.check_system_lines([line(words=[WORD])])
    assert "'words'" in problem
    (problem,) = contract.check_system_lines([line()], words=True)
    assert "'words'" in problem


@pytest.mark.parametrize(
    "words",
    [
        None,
        "a",
        ["a"],
        [{"text": "a"}],
        [WORD | {"text": None}],
        [WORD | {"text_region": REGION[:3]}],
        [WORD | {"confidence": 0.9}],
    ],
)
def test_wrong_words_are_found(words: Any) -> None:
    assert len(contract.check_system_lines([line(words=words)], words=True)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [[], []],
        [[{"angle": "90", "confidence": 1.0}]],
        [[{"angle": 180, "confidence": 1.0}]],
        [[{"angle": "0", "confidence": 2}]],
    ],
)
def test_wrong_angles_are_found(wrong: Any) -> None:
    assert len(contract.check_outer_list(wrong, 1, "angle")) == 1


def test_an_unknown_module_is_answered_in_json() -> None:
    stock = answer({"status": "111", "msg": "Module is not found", "results": ""})
    assert contract.check_unknown_module(stock) == []
    assert contract.check_unknown_module(answer({"msg": "no such module"}, 404)) == []
    assert contract.check_unknown_module(answer(None, 404)) != []
    assert contract.check_unknown_module(answer({"status": "000"})) != []
