"""The steps of scripts/test: which tier runs what, and what a run says and leaves behind."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from role_code import ROOT

QUICK = {
    "ruff", "format", "yamllint", "shell", "spelling", "types", "settings", "ansible-lint",
    "unit-quick",
}  # fmt: skip
FOR_FULL = {
    *(f"lab-{path.stem.removeprefix('test_')}" for path in ROOT.glob("tests/lab/test_*.py")),
    *("bench", "gpu-image", "paddle3", "service-full", "soak", "training", "unit-full"),
}
#: Steps of a test, beside the project's own.
STEPS = """
step("good", ["sh", "-c", "echo well"])
step("bad", ["sh", "-c", "echo because; exit 3"])
step("behind", ["true"], requires=["bad"])
step("slow", ["sh", "-c", "trap 'sleep 4; echo tidied; exit 1' TERM; echo began; sleep 60 & wait"])
step("endless", ["sleep", "60"], minutes=0.01)
suite("tests", "made/test_three.py", "-c", "/dev/null")
"""
TESTS = """
import pytest
def test_right(): pass
def test_wrong(): assert False
@pytest.mark.skip
def test_left_out(): pass
"""


def steps(*arguments: str) -> dict[str, str]:
    """The command of each step that nox would run, as ``nox --list`` shows it."""
    listing = [sys.executable, "-m", "nox", "--list", "--json", *arguments]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    return {each["session"]: each["description"] for each in json.loads(done.stdout)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with these steps and their runner."""
    for folder in ("tests", "made"):
        (tmp_path / folder).mkdir()
    for name in ("tests/run.py", "tests/slowed.py", "noxfile.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "made/test_three.py").write_text(TESTS)
    with (tmp_path / "noxfile.py").open("a") as noxfile:
        noxfile.write(STEPS)
    return tmp_path


def start(tree: Path, *arguments: str) -> subprocess.Popen[str]:
    """Begin a run, as a shell begins one in the background: it ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.Popen(
            [sys.executable, str(tree / "tests/run.py"), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


def run(tree: Path, *arguments: str) -> tuple[int, str]:
    with start(tree, *arguments) as process:
        output, _ = process.communicate(timeout=120)
    return process.returncode, output


def log(tree: Path, step: str) -> str:
    path = tree / f"build/test-logs/{step}.log"
    return path.read_text() if path.exists() else ""


def test_tiers_hold_one_another() -> None:
    quick, default, full = (set(steps("-t", tier)) for tier in ("quick", "default", "full"))
    assert quick == QUICK
    assert full - default == FOR_FULL
    assert default - full == {"lab", "unit"}  # as lab-X, and as unit-full
    assert default >= {*QUICK - {"unit-quick"}, "unit", "deploy-again", "image", "service", "lab"}
    assert "not slow" in steps("-s", "unit-quick")["unit-quick"]


def test_what_the_default_leaves_out_has_a_step() -> None:
    assert "-m not full" in steps("-s", "unit")["unit"]
    assert "full" not in steps("-s", "unit-full")["unit-full"].split()
    assert "-m not full" in steps("-s", "service")["service"]
    assert "-m full" in steps("-s", "service-full")["service-full"]


def test_each_file_of_the_lab_is_run() -> None:
    files = list((ROOT / "tests/lab").glob("test_*.py"))
    lab = steps("-s", "lab")["lab"]
    assert {f"tests/lab/{path.name}" for path in files} <= set(lab.split())
    assert "-m not full" in lab
    assert "not full" not in " ".join(steps("-t", "full")[f"lab-{path.stem[5:]}"] for path in files)


def test_shell_that_is_started_is_checked() -> None:
    started = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "scripts").iterdir()
        if path.is_file() and path.suffix != ".py"
    }
    assert started and started <= set(steps("-s", "shell")["shell"].split())


@pytest.mark.slow
def test_a_step_that_fails_hides_no_other(tree: Path) -> None:
    status, output = run(tree, "bad", "behind", "good", "tests")
    assert status == 1
    assert "because" in output and log(tree, "good") == "well\n"
    assert "failed steps: bad, behind, tests (logs in build/test-logs)" in output
    assert output.splitlines()[-1] == "2 passed, 3 failed, 1 skipped"
    slowest = output.partition("slowest steps:")[2].splitlines()
    assert slowest[1].endswith(" s  tests")
    assert run(tree, "good")[0] == 0


@pytest.mark.slow
def test_a_step_that_takes_too_long_is_ended(tree: Path) -> None:
    status, output = run(tree, "endless")
    assert status == 1 and "failed steps: endless" in output


@pytest.mark.slow
@pytest.mark.parametrize("steps", [["slow"], ["slow", "good"]])
def test_a_run_that_is_ended_ends_its_steps_in_order(tree: Path, steps: list[str]) -> None:
    def seen(text: str) -> bool:
        deadline = time.monotonic() + 60
        while text not in log(tree, "slow") and time.monotonic() < deadline:
            time.sleep(0.1)
        return text in log(tree, "slow")

    with start(tree, *steps) as process:
        assert seen("began")
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode and seen("tidied")


def test_steps_that_are_none_are_named(tree: Path) -> None:
    assert "no such step: nonsense" in run(tree, "good", "nonsense")[1]
    status, output = run(tree, "--quick", "good")
    assert status == 2 and "--quick and --full choose the steps" in output
