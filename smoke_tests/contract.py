"""What the hubserving contract promises, as checks that return the problems they find.

Texts are compared strictly, line by line and in reading order, after two normalisations only:
Unicode width (NFKC: a full-width letter or punctuation mark equals its narrow form) and white
space, which is left out: whether a recogniser gives a narrow gap between words as a space depends
on how the line was scaled, and says nothing about the deployment.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from .client import Answer

Problems = list[str]
ANGLES = ("0", "180")


def normalise(text: str) -> str:
    """Return the text as it is compared: NFKC, without white space."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def same_line(left: str, right: str) -> bool:
    """Tell whether two lines are the same text."""
    return normalise(left) == normalise(right)


def check_status(answer: Answer) -> Problems:
    """Return what is wrong with the frame of an answer that should be a success."""
    if answer.http_status == 401:
        return ["HTTP 401: the token is missing or refused (--token-file)"]
    if not isinstance(answer.body, dict):
        return [f"HTTP {answer.http_status}, and the body is not a JSON object: {answer.text!r}"]
    if answer.http_status == 403:
        return [f"HTTP 403: {answer.body.get('msg')}"]
    status = answer.body.get("status")
    if status == "111":
        return [f'status "111": the module is not served ({answer.body.get("msg")})']
    if status != "000":
        return [
            f'HTTP {answer.http_status}, status {status!r} instead of "000": '
            f"{answer.body.get('msg')!r}"
        ]
    problems = []
    if answer.http_status != 200:
        problems.append(f"HTTP {answer.http_status} instead of 200")
    if "msg" not in answer.body or "results" not in answer.body:
        problems.append('the answer lacks "msg" or "results"')
    elif not isinstance(answer.body["results"], list):
        problems.append('"results" is not a list')
    return problems


def _check_keys(what: str, item: Any, keys: tuple[str, ...]) -> Problems:
    if not isinstance(item, dict):
        return [f"{what} is not an object"]
    if set(item) != set(keys):
        return [f"{what} has the keys {sorted(item)} instead of {sorted(keys)}"]
    return []


def _check_confidence(what: str, value: Any) -> Problems:
    # A bool is an int to Python, but not a number of the contract.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return [f"{what}: confidence {value!r} is not a number from 0 to 1"]
    return []


def _check_region(what: str, region: Any) -> Problems:
    def is_point(point: Any) -> bool:
        return (
            isinstance(point, list)
            and len(point) == 2
            and all(isinstance(value, int) and not isinstance(value, bool) for value in point)
        )

    if not isinstance(region, list) or len(region) != 4 or not all(map(is_point, region)):
        return [f"{what}: text_region {region!r} is not four points of two integers"]
    return []


def _check_words(what: str, words: Any) -> Problems:
    if not isinstance(words, list):
        return [f"{what}: words is not a list"]
    problems: Problems = []
    for number, word in enumerate(words, 1):
        which = f"{what}, word {number}"
        wrong = _check_keys(which, word, ("text", "text_region"))
        if not wrong:
            if not isinstance(word["text"], str):
                wrong.append(f"{which}: text is not a string")
            wrong += _check_region(which, word["text_region"])
        problems += wrong
    return problems


def check_system_lines(lines: Any, words: bool = False, corrected: bool = False) -> Problems:
    """Return what is wrong with the form of ocr_system's lines of one picture.

    Args:
        lines: the result of the picture.
        words: whether return_word_box is set, by the request or for all.
        corrected: whether text_correction is.
    """
    if not isinstance(lines, list):
        return ["the result of a picture is not a list"]
    keys = (
        "text",
        "confidence",
        "text_region",
        *["words"] * words,
        *["text_correction"] * corrected,
    )
    problems: Problems = []
    for number, line in enumerate(lines, 1):
        what = f"line {number}"
        wrong = _check_keys(what, line, keys)
        if not wrong:
            if not isinstance(line["text"], str):
                wrong.append(f"{what}: text is not a string")
            wrong += _check_confidence(what, line["confidence"])
            wrong += _check_region(what, line["text_region"])
            if words:
                wrong += _check_words(what, line["words"])
        problems += wrong
    return problems


def check_findings(findings: Any, expected: Sequence[tuple[str, str, int]]) -> Problems:
    """Return how the findings in a text differ from what is expected.

    Args:
        findings: what text_correction answers for a text.
        expected: of each finding what is wrong, what was meant, and the index of the first.
    """
    wanted = [
        [{"err": wrong}, {"fix": right}, {"startIdx": str(at)}, {"endIdx": str(at + len(wrong))}]
        for wrong, right, at in expected
    ]
    return [] if findings == wanted else [f"findings {findings!r} instead of {wanted!r}"]


def check_det_boxes(boxes: Any) -> Problems:
    """Return what is wrong with the form of ocr_det's boxes of one picture."""
    if not isinstance(boxes, list):
        return ["the result of a picture is not a list"]
    problems: Problems = []
    for number, box in enumerate(boxes, 1):
        wrong = _check_keys(f"box {number}", box, ("text_region",))
        problems += wrong or _check_region(f"box {number}", box["text_region"])
    return problems


def check_outer_list(results: Any, pictures: int, key: str) -> Problems:
    """Return what is wrong with ocr_rec's (key "text") or ocr_cls's (key "angle") results.

    Both answer one outer list for the request, with one item a picture.
    """
    if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], list):
        return ["results is not one outer list"]
    if len(results[0]) != pictures:
        return [f"{len(results[0])} items for {pictures} pictures"]
    problems: Problems = []
    for number, item in enumerate(results[0], 1):
        what = f"picture {number}"
        wrong = _check_keys(what, item, (key, "confidence"))
        if not wrong:
            wrong += _check_confidence(what, item["confidence"])
            if not isinstance(item[key], str):
                wrong.append(f"{what}: {key} is not a string")
            elif key == "angle" and item[key] not in ANGLES:
                wrong.append(f'{what}: angle {item[key]!r} is neither "0" nor "180"')
        problems += wrong
    return problems


def compare_lines(expected: Sequence[str], recognised: Sequence[str]) -> Problems:
    """Return the differences between expected and recognised lines, in reading order."""
    problems: Problems = []
    if len(expected) != len(recognised):
        problems.append(f"{len(recognised)} lines instead of {len(expected)}")
    for number, (want, got) in enumerate(zip_longest(expected, recognised), 1):
        if want is None:
            problems.append(f"line {number}: {got!r} is too many")
        elif got is None:
            problems.append(f"line {number}: {want!r} is missing")
        elif not same_line(want, got):
            problems.append(f"line {number}: {got!r} instead of {want!r}")
    return problems


def check_unknown_module(answer: Answer) -> Problems:
    """Return what is wrong with the answer for a module that does not exist.

    Stock answers HTTP 200 with status "111"; a server that says 404 must say it in JSON.
    """
    if not isinstance(answer.body, dict):
        return [f"HTTP {answer.http_status} without JSON: {answer.text[:120]!r}"]
    if answer.http_status == 404 or answer.body.get("status") == "111":
        return []
    return [f"HTTP {answer.http_status}, status {answer.body.get('status')!r}"]
