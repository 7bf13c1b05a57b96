"""The smoke tests: known pictures to each module of a running service, and its contract."""

from __future__ import annotations

import pytest

from . import contract
from .client import Client
from .needs import lacking
from .options import Settings
from .outcome import Check, Row, Run
from .samples import Sample


def _verdict(item: Row | Check) -> None:
    if item.problems:
        pytest.fail("\n".join(item.problems), pytrace=False)


def _tagged(samples: list[Sample], *tags: str) -> list[Sample]:
    return [sample for sample in samples if set(tags) & set(sample.tags)]


def test_service_answers(run: Run, reached: Client) -> None:
    """Something answers HTTP at the URL."""
    check = Check("the service answers HTTP")
    if run.unreachable:
        check.problems.append(run.unreachable)
    run.checks.append(check)
    _verdict(check)


def test_picture_is_read(
    run: Run, settings: Settings, client: Client, system_sample: Sample
) -> None:
    """ocr_system reads a picture: the expected lines, in order, in the contract's form."""
    row = Row(settings.module, system_sample.path, system_sample.lines)
    answer = client.predict(settings.module, [system_sample.path.read_bytes()])
    run.rows.append(row)
    row.elapsed_ms = answer.elapsed_ms
    row.problems += contract.check_status(answer)
    if row.ok and len(answer.body["results"]) != 1:
        row.problems.append(f"{len(answer.body['results'])} results for one picture")
    if row.ok:
        row.problems += contract.check_system_lines(
            answer.body["results"][0], settings.words, settings.corrected
        )
    if row.ok:
        row.lines = answer.body["results"][0]
        row.recognised = tuple(line["text"] for line in row.lines)
        row.min_confidence = min((line["confidence"] for line in row.lines), default=None)
        if row.expected is not None:
            row.problems += contract.compare_lines(row.expected, row.recognised)
        if row.min_confidence is not None and row.min_confidence < system_sample.min_confidence:
            row.problems.append(
                f"confidence {row.min_confidence:.3f} is below {system_sample.min_confidence}"
            )
    _verdict(row)


def test_boxes_are_found(run: Run, client: Client, det_sample: Sample) -> None:
    """ocr_det finds as many boxes as there are lines."""
    row = Row("ocr_det", det_sample.path, det_sample.lines)
    answer = client.predict("ocr_det", [det_sample.path.read_bytes()])
    run.rows.append(row)
    row.elapsed_ms = answer.elapsed_ms
    row.problems += contract.check_status(answer)
    if row.ok and len(answer.body["results"]) != 1:
        row.problems.append(f"{len(answer.body['results'])} results for one picture")
    if row.ok:
        row.problems += contract.check_det_boxes(answer.body["results"][0])
    if row.ok:
        row.lines = answer.body["results"][0]
        if row.expected is not None and len(row.lines) != len(row.expected):
            row.problems.append(f"{len(row.lines)} boxes instead of {len(row.expected)}")
    _verdict(row)


@pytest.mark.needs_module("ocr_rec")
def test_lines_are_recognised(run: Run, client: Client, samples: list[Sample]) -> None:
    """ocr_rec reads pictures of one line; any picture does for the form of the answer."""
    chosen = _tagged(samples, "rec") or samples[:1]
    answer = client.predict("ocr_rec", [sample.path.read_bytes() for sample in chosen])
    problems = contract.check_status(answer)
    if not problems:
        problems = contract.check_outer_list(answer.body["results"], len(chosen), "text")
    rows = [Row("ocr_rec", sample.path, None, elapsed_ms=answer.elapsed_ms) for sample in chosen]
    rows[0].problems += problems
    if not problems:
        for row, sample, item in zip(rows, chosen, answer.body["results"][0], strict=True):
            row.recognised, row.min_confidence = (item["text"],), item["confidence"]
            if "rec" in sample.tags:
                row.expected = sample.lines
                row.problems += contract.compare_lines(sample.lines or (), row.recognised)
    run.rows += rows
    run.planned += len(rows) - 1
    _verdict(Row("ocr_rec", chosen[0].path, problems=[p for row in rows for p in row.problems]))


@pytest.mark.needs_module("ocr_cls")
def test_directions_are_told(run: Run, client: Client, samples: list[Sample]) -> None:
    """ocr_cls tells an upright line from one turned by 180 degrees, several in one request."""
    chosen = _tagged(samples, "cls-0", "cls-180") or samples[:1]
    check = Check("ocr_cls tells upright lines from turned ones")
    answer = client.predict("ocr_cls", [sample.path.read_bytes() for sample in chosen])
    run.checks.append(check)
    check.elapsed_ms = answer.elapsed_ms
    check.problems += contract.check_status(answer)
    if check.ok:
        check.problems += contract.check_outer_list(answer.body["results"], len(chosen), "angle")
    if check.ok:
        for sample, item in zip(chosen, answer.body["results"][0], strict=True):
            wanted = [tag[4:] for tag in sample.tags if tag.startswith("cls-")]
            if wanted and item["angle"] not in wanted:
                check.problems.append(f"{sample.name}: angle {item['angle']}, not {wanted[0]}")
    _verdict(check)


@pytest.mark.needs_module("text_correction")
def test_wrong_characters_are_found(run: Run, client: Client) -> None:
    """text_correction finds both errors of the guide's sentence, and none where there is none."""
    check = Check("text_correction finds what is wrong in a text")
    answer = client.correct(["为什公你不口家", "为什么你不回家"], gain=4.5)
    run.checks.append(check)
    check.elapsed_ms = answer.elapsed_ms
    check.problems += contract.check_status(answer)
    if check.ok and len(answer.body["results"]) != 2:
        check.problems.append(f"{len(answer.body['results'])} results for two texts")
    if check.ok:
        wrong, right = answer.body["results"]
        check.problems += contract.check_findings(wrong, [("公", "么", 2), ("口", "回", 5)])
        check.problems += contract.check_findings(right, [])
    _verdict(check)


def test_extra_module_answers(
    run: Run, client: Client, samples: list[Sample], extra_module: str
) -> None:
    """A module of one's own answers a picture with success, whatever its results are."""
    check = Check(f"{extra_module} answers a picture")
    answer = client.predict(extra_module, [samples[0].path.read_bytes()])
    run.checks.append(check)
    check.elapsed_ms = answer.elapsed_ms
    check.problems += contract.check_status(answer)
    _verdict(check)


def test_two_pictures_in_one_request(
    run: Run, settings: Settings, client: Client, samples: list[Sample]
) -> None:
    """One request with two pictures gives two results, in the order of the pictures."""
    samples = [sample for sample in samples if not lacking(sample.needs, settings.params)]
    if settings.module not in settings.modules or len(samples) < 2:
        run.planned -= 1
        pytest.skip("needs the whole-picture module and two pictures")
    check = Check(f"{settings.module} answers two pictures in one request, in order")
    pair = sorted(samples, key=lambda sample: sample.path.stat().st_size)[:2]
    answer = client.predict(settings.module, [sample.path.read_bytes() for sample in pair])
    run.checks.append(check)
    check.elapsed_ms = answer.elapsed_ms
    check.problems += contract.check_status(answer)
    if check.ok and len(answer.body["results"]) != 2:
        check.problems.append(f"{len(answer.body['results'])} results for two pictures")
    if check.ok:
        for sample, lines in zip(pair, answer.body["results"], strict=True):
            check.problems += contract.check_system_lines(lines, settings.words)
            if check.ok and sample.lines is not None:
                texts = [line["text"] for line in lines]
                differences = contract.compare_lines(sample.lines, texts)
                check.problems += [f"{sample.name}: {text}" for text in differences]
    _verdict(check)


def test_unknown_module_is_answered(
    run: Run, settings: Settings, client: Client, samples: list[Sample]
) -> None:
    """A module that does not exist gets an error as JSON, and the service goes on answering."""
    check = Check("an unknown module gets an error in JSON, and the service goes on")
    smallest = min(samples, key=lambda sample: sample.path.stat().st_size).path.read_bytes()
    answer = client.predict("no_such_module", [smallest])
    run.checks.append(check)
    check.elapsed_ms = answer.elapsed_ms
    check.problems += contract.check_unknown_module(answer)
    again = client.predict(settings.modules[0], [smallest])
    check.problems += [f"afterwards: {text}" for text in contract.check_status(again)]
    _verdict(check)
