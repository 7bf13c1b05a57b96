"""The steps of scripts/test: no file of the lab is left out, and few of its steps run at once."""

from __future__ import annotations

import sys
import threading

import pytest
from role_code import ROOT, load

ITSELF = "tests/lab/test_lab.py"
FOR_FULL = {
    ITSELF,
    *(f"tests/lab/test_{name}.py" for name in ("balancers", "german_deploy", "ship_bench")),
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "tests")])
    return load("tests/run.py")


@pytest.mark.parametrize("names", [set(), {"lab"}])
@pytest.mark.parametrize("full", [False, True])
def test_each_file_of_the_lab_is_run_once(run, names: set[str], full: bool) -> None:
    files = [step.command[-1] for step in run.choose(names, full) if step.lab]
    every = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/lab").glob("test_*.py")}
    assert len(files) == len(set(files))
    assert set(files) == (every if full else every - FOR_FULL)
    assert set(run.LAB_FIRST) <= {file[len("tests/lab/test_") : -len(".py")] for file in files}


def test_steps_are_chosen_by_name(run) -> None:
    assert [step.command[-1] for step in run.choose({"lab-lab"}, False)] == [ITSELF]
    assert [step.name for step in run.choose({"unit", "ruff"}, False)] == ["ruff", "unit"]


def test_quick_leaves_out_slow_unit_tests_and_nothing_else(run) -> None:
    steps = [run.quickened(step) for step in run.choose(set(run.QUICK), False)]
    assert {step.name for step in steps} == set(run.QUICK)
    changed = [step for step in steps if step not in run.STEPS]
    assert [step.name for step in changed] == ["unit"]
    assert "not slow" in changed[0].command


def test_shell_that_is_started_is_checked(run) -> None:
    started = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "scripts").iterdir()
        if path.is_file() and path.suffix != ".py"
    }
    assert started and started <= set(run.shell_scripts())


def test_two_steps_of_the_lab_at_once_and_others_beside(run) -> None:
    began = threading.Barrier(run.PARALLEL, timeout=30)
    in_lab: list[str] = []
    most = []

    def one(step):
        if step.lab:
            in_lab.append(step.name)
            most.append(len(in_lab))
        if step.name in ("lab1", "lab2", "other"):
            began.wait()  # these three run at once, or none of them ends
        if step.lab:
            in_lab.remove(step.name)
        return run.Result(step, 0, 0, "")

    steps = [run.Step(f"lab{n}", [], lab=True) for n in (1, 2, 3, 4)]
    results = run.run_all([*steps, run.Step("other", [])], one)
    assert len(results) == 5
    assert max(most) == run.PARALLEL_LAB == 2
