"""The steps of scripts/test: no file of the lab is left out, and few steps of it run at once."""

from __future__ import annotations

import sys
import threading
from collections import Counter

import pytest
from role_code import ROOT, load


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "tests")])
    return load("tests/run.py")


def lab_files(run, steps) -> Counter[str]:
    """How often each test file of the lab is run."""
    every = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/lab").glob("test_*.py")}
    files: Counter[str] = Counter()
    for step in steps:
        if step.lab:
            named = set(step.command) & every
            files.update(
                named or {file for file in every if f"--ignore={file}" not in step.command}
            )
    return files


@pytest.mark.parametrize("full", [False, True])
def test_each_file_of_the_lab_is_run_once(run, full: bool) -> None:
    steps = [run.in_full(step) if full else step for step in run.STEPS]
    every = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/lab").glob("test_*.py")}
    left_out = set() if full else {"tests/lab/test_lab.py"}
    assert lab_files(run, steps) == Counter(every - left_out)


def test_two_steps_of_the_lab_at_once_and_others_beside(run) -> None:
    """Steps wait for one another: none ends before the others that are to run with it began."""
    began = threading.Barrier(run.PARALLEL, timeout=30)
    in_lab: list[str] = []
    most = []

    def one(step):
        if step.lab:
            in_lab.append(step.name)
            most.append(len(in_lab))
        if step.name in ("lab1", "lab2", "other"):
            began.wait()
        if step.lab:
            in_lab.remove(step.name)
        return run.Result(step, 0, 0, "")

    steps = [run.Step(f"lab{n}", [], lab=True) for n in (1, 2, 3, 4)]
    steps.append(run.Step("other", []))
    assert all(result.ok for result in run.run_all(steps, one))
    assert max(most) == run.PARALLEL_LAB == 2
