"""What a run tells of itself and keeps, from what PaddleOCR's tools write: no Paddle is needed."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from plays import run_play
from ppocr_trainer import child, progress, training
from ppocr_trainer.checkpoints import Keeper, best, last, take, torn
from role_code import load

from ppocr_training.job import Job, Places

ROOT = Path(__file__).parents[2]
FILTERS = load("plugins/filter/trainer.py")
trainer_status = FILTERS.trainer_status

LOG = """\
[2026/11/28 03:24:00] ppocr INFO: epoch: [4/10], global_step: 112, lr: 0.001500, loss: 2.964553, \
avg_reader_cost: 0.00058 s, avg_samples: 16.0, ips: 38.1 samples/s, eta: 0:03:14
[2026/11/28 03:24:02] ppocr INFO: cur metric, acc: 0.84, norm_edit_dis: 0.97, fps: 94.9
[2026/11/28 03:24:02] ppocr INFO: best metric, acc: 0.84, fps: 94.9, best_epoch: 4
[2026/11/28 03:24:02] ppocr INFO: save model in /training/run/output/latest
"""


def test_the_log_tells_how_far_a_run_is() -> None:
    status: dict[str, Any] = {}
    told = [progress.read(line, status) for line in LOG.splitlines()]
    assert told == [True, True, False, False]
    assert status == {
        "epoch": 4, "epochs": 10, "step": 112, "loss": 2.964553, "left": "0:03:14",
        "curve": [{"epoch": 4, "loss": 2.964553, "acc": 0.84, "norm_edit_dis": 0.97}],
    }  # fmt: skip


class Output:
    """The folder in which the tools overwrite their checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.path, self.kept = folder / "output", folder / "kept"
        self.path.mkdir()
        self.saves = 0

    def save(self, name: str, epoch: int, **metrics: float) -> None:
        self.saves += 1
        stamp = self.saves * 10**9
        for suffix in (".pdparams", ".pdopt"):
            (self.path / f"{name}{suffix}").write_text(f"{name} of epoch {epoch}")
            os.utime(self.path / f"{name}{suffix}", ns=(stamp, stamp))
        states = {"epoch": epoch, "best_model_dict": {**metrics, "best_epoch": epoch}}
        with (self.path / f"{name}.states").open("wb") as file:
            pickle.dump(states, file)
        os.utime(self.path / f"{name}.states", ns=(stamp, stamp))

    def keeper(self) -> Keeper:
        return Keeper("acc", self.path, self.kept)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path)


def test_the_last_whole_checkpoint_is_kept(output: Output) -> None:
    keeper = output.keeper()
    assert not keeper.keep()
    for epoch in (1, 2):
        output.save("latest", epoch)
        assert keeper.keep()
        assert not keeper.keep()
    found = last(output.kept)
    assert found is not None
    assert found.epoch == 2
    assert found.prefix.with_suffix(".pdopt").read_text() == "latest of epoch 2"
    assert [path.name for path in output.kept.glob("epoch-*")] == ["epoch-2"]


def test_what_a_kill_has_torn_is_not_kept(output: Output) -> None:
    output.save("latest", 3)
    (output.path / "latest.states").write_bytes(b"\x80")
    keeper = output.keeper()  # the next start
    assert not keeper.keep()
    assert last(output.kept) is None
    output.save("latest", 4)
    (output.path / "latest.states").write_bytes(b"\x80")
    assert not keeper.keep()
    output.save("latest", 4)
    assert keeper.keep()


def test_a_checkpoint_without_its_optimizer_is_none(output: Output) -> None:
    keeper = output.keeper()
    output.save("latest", 1)
    keeper.keep()
    (output.kept / "epoch-1/model.pdopt").unlink()
    assert last(output.kept) is None


def test_a_run_whose_checkpoint_is_torn_does_not_begin_anew(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = output.keeper()
    assert torn(output.kept) == ""
    output.save("latest", 1)
    keeper.keep()
    assert torn(output.kept) == ""
    (output.kept / "epoch-1/model.pdopt").unlink()
    monkeypatch.setattr(training, "torn", lambda: torn(output.kept))
    monkeypatch.setattr(training, "STATUS", tmp_path / "status.json")
    (tmp_path / "config.yml").write_text("Global: {epoch_num: 3}\n")
    training.Training(Job("config.yml"), Places(tmp_path, tmp_path))._train()
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["state"] == "failed"
    (why,) = status["why"]
    assert why.startswith("run/kept/epoch-1 has no model.pdopt, and the run would begin at its fir")
    assert why.endswith("put it back, or begin a new run with another trainer_name")


#: As paddle.distributed.launch: its process is in a session of its own, and ended at SIGTERM.
LAUNCHER = """
import signal, subprocess, sys
worker = subprocess.Popen(["sleep", "60"], start_new_session=True)
def end(*_):
    worker.kill()
    worker.wait()
    sys.exit(15)
signal.signal(signal.SIGTERM, end)
print(worker.pid, flush=True)
signal.pause()
"""


def test_no_process_of_a_launcher_trains_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "STATUS", tmp_path / "status.json")
    (tmp_path / "config.yml").write_text("Global: {epoch_num: 3}\n")
    run = training.Training(Job("config.yml", processes=2), Places(tmp_path, tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, start_new_session=True
    ) as launcher:
        assert launcher.stdout
        worker = int(launcher.stdout.readline())
        run._process = launcher
        run._kill()
        assert launcher.returncode == 15
    assert not Path(f"/proc/{worker}").exists()


def test_a_worse_model_after_a_resume_does_not_become_the_best(output: Output) -> None:
    keeper = output.keeper()
    output.save("best_accuracy", 6, acc=0.9)
    keeper.keep()
    # The tools have forgotten the best accuracy, and overwrite the best model.
    keeper = output.keeper()
    output.save("best_accuracy", 7, acc=0.4)
    keeper.keep()
    found = best(output.kept)
    assert found is not None
    prefix = found.pop("prefix")
    assert found == {"acc": 0.9, "indicator": "acc", "epoch": 6}
    assert prefix.with_suffix(".pdparams").read_text() == "best_accuracy of epoch 6"
    output.save("best_accuracy", 9, acc=0.95)
    keeper.keep()
    assert json.loads((output.kept / "best/best.json").read_text())["epoch"] == 9


def test_a_checkpoint_that_is_being_overwritten_is_not_kept(output: Output) -> None:
    keeper = output.keeper()
    output.save("latest", 1)
    (output.path / "latest.pdparams").write_text("half of epoch 2")  # newer than .states
    assert not keeper.keep()
    assert last(output.kept) is None
    output.save("latest", 2)
    assert keeper.keep()


def test_a_kill_between_two_renames_loses_nothing(output: Output) -> None:
    keeper = output.keeper()
    output.save("best_accuracy", 6, acc=0.9)
    keeper.keep()
    output.save("latest", 6)
    keeper.keep()
    (output.kept / "best").rename(output.kept / "best.former")
    shutil.copytree(output.kept / "epoch-6", output.kept / "epoch-7.part")
    keeper = output.keeper()  # the next start
    found, newest = best(output.kept), last(output.kept)
    assert found is not None
    assert found["acc"] == 0.9
    assert found["prefix"].with_suffix(".pdparams").read_text() == "best_accuracy of epoch 6"
    assert newest is not None
    assert newest.epoch == 6
    output.save("best_accuracy", 8, acc=0.95)
    output.save("latest", 8)
    keeper.keep()
    assert {path.name for path in output.kept.iterdir()} == {"best", "epoch-8"}


def test_a_full_disk_leaves_no_half_checkpoint(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = output.keeper()
    output.save("latest", 1)
    keeper.keep()
    output.save("latest", 2)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        keeper.keep()
    assert [path.name for path in output.kept.iterdir()] == ["epoch-1"]


def test_a_disk_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "STATUS", tmp_path / "status.json")
    monkeypatch.setattr(training, "_LOG", tmp_path / "none/console.log")
    (tmp_path / "config.yml").write_text("Global: {epoch_num: 3}\n")
    before = signal.getsignal(signal.SIGTERM)
    training.Training(Job("config.yml"), Places(tmp_path, tmp_path)).run()
    signal.signal(signal.SIGTERM, before)
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["state"] == "failed"
    assert "console.log" in status["why"][0]
    assert "trainer_dir" in status["why"][0]


def test_a_step_that_hangs_names_the_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_LIMIT", 0.01)
    with pytest.raises(SystemExit, match="trainer_data"):
        child.call("rehearse")


def test_an_export_has_a_checkpoint_of_its_own(output: Output, tmp_path: Path) -> None:
    assert take(tmp_path / "taken", output.kept) is None
    keeper = output.keeper()
    output.save("best_accuracy", 6, acc=0.9)
    keeper.keep()
    taken = take(tmp_path / "taken", output.kept)
    output.save("best_accuracy", 9, acc=0.95)
    keeper.keep()
    assert taken is not None
    assert taken["epoch"] == 6
    assert taken["prefix"].with_suffix(".pdparams").read_text() == "best_accuracy of epoch 6"


@pytest.mark.parametrize(
    ("status", "container", "line"),
    [
        ({}, "", "not started (playbooks/train.yml starts it)"),
        ({}, "running", "starting"),
        (
            {"state": "training", "epoch": 4, "epochs": 10, "loss": 2.5, "left": "0:03:14",
             "best": {"acc": 0.84, "indicator": "acc", "epoch": 3}},
            "running",
            "training, epoch 4 of 10, loss 2.5, best acc 0.8400 in epoch 3, 0:03:14 left",
        ),
        (
            {"state": "training", "epoch": 4, "epochs": 10},
            "",
            "interrupted, the container is gone (playbooks/train.yml goes on), epoch 4 of 10",
        ),
        (
            {"state": "interrupted", "epoch": 4, "epochs": 10},
            "exited",
            "interrupted, the container is exited (playbooks/train.yml goes on), epoch 4 of 10",
        ),
        (
            {"state": "failed", "epochs": 10, "why": ["Out of memory"]},
            "running",
            "failed, epoch 0 of 10, Out of memory, correct that; playbooks/train.yml goes on",
        ),
    ],
)  # fmt: skip
def test_a_run_is_told_in_one_line(status: dict[str, Any], container: str, line: str) -> None:
    assert trainer_status(status, container) == line


def _status_of(folder: Path, hosts: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """playbooks/train_status.yml on this machine as hosts with these settings."""
    host: dict[str, Any] = {
        "ansible_connection": "local", "ansible_become": False,
        "ansible_python_interpreter": sys.executable, "trainer_dir": str(folder),
        "trainer_work_dir": str(folder / "work"),
    }  # fmt: skip
    inventory = folder / "inventory.yml"
    given = {name: {**host, **settings} for name, settings in hosts.items()}
    inventory.write_text(json.dumps({"ppocr_trainers": {"hosts": given}}))
    program = Path(sys.executable).with_name("ansible-playbook")
    return subprocess.run(
        [program, "-i", inventory, "playbooks/train_status.yml"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("names", [("one", "one"), (None, None), (None, "model"), ("one", "two")])
def test_hosts_with_one_name_do_not_mix(tmp_path: Path, names: tuple[str | None, ...]) -> None:
    hosts = {
        f"host{number}": {"trainer_name": name} if name else {} for number, name in enumerate(names)
    }
    done = _status_of(tmp_path, hosts)
    said = " ".join(done.stdout.split())
    assert (done.returncode == 0) == (names == ("one", "two")), said
    assert ("give each host its own trainer_name" in said) == (names != ("one", "two"))


def test_the_curve_is_a_page_and_a_picture(tmp_path: Path) -> None:
    name = "a-run-no-engine-has"
    status = {
        "state": "failed", "epochs": 4, "indicator": "acc", "best": None,
        "why": ['File "train.py", line 1, in <module>', "字典"],
        "curve": [{"epoch": 2, "loss": 8.0, "acc": 0.1}, {"epoch": 4, "loss": 2.0, "acc": 0.5}],
    }  # fmt: skip
    run = tmp_path / name / "run"
    run.mkdir(parents=True)
    (run / "status.json").write_text(json.dumps(status))
    done = _status_of(tmp_path, {"host": {"trainer_name": name}})
    assert done.returncode == 0, done.stdout
    curve = tmp_path / "work" / name / "curve"
    page = curve.with_suffix(".html").read_text(encoding="utf-8")
    assert '<meta charset="utf-8">' in page and "<svg " in page
    assert "in &lt;module&gt;, 字典" in page
    with Image.open(curve.with_suffix(".png")) as picture:
        assert picture.format == "PNG"


def test_a_curve_has_a_point_for_each_evaluation() -> None:
    rows = [{"epoch": 2, "loss": 8.0, "acc": 0.0}, {"epoch": 4, "loss": 2.0, "acc": 0.5}]
    status = {"epochs": 4, "indicator": "acc", "curve": rows}
    svg = FILTERS.trainer_curve(status)
    assert '<polyline points="390.0,340.0 740.0,190.0"' in svg
    assert '<polyline points="390.0,40.0 740.0,265.0"' in svg
    assert svg.startswith("<svg ")
    assert svg.endswith("</svg>")
    png = base64.b64decode(FILTERS.trainer_curve_png(status))
    with Image.open(io.BytesIO(png)) as picture:
        assert (picture.format, picture.size) == ("PNG", (760, 370))
        green, brown = (0x1A, 0x7F, 0x37), (0xB3, 0x59, 0x00)
        assert [picture.getpixel(place) for place in ((565, 265), (565, 152), (200, 150))] == [
            green, brown, (255, 255, 255),
        ]  # fmt: skip


DOCKER = """#!/bin/sh
case "$*" in
  *" check") echo '{"refused": [], "accepted": [], "facts": {}}' ;;
  *" train") echo '{"state": "%s", "epochs": 3, "why": ["its last checkpoint is torn"]}' >RUN/status.json ;;
esac
"""  # noqa: E501
START = """
- hosts: ppocr_hosts
  gather_facts: false
  environment: {PATH: "FOLDER:/usr/bin:/bin"}
  tasks:
    - ansible.builtin.include_role: {name: trainer, tasks_from: start}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("state", "status"), [("training", 0), ("failed", 2)])
def test_a_run_that_fails_at_its_start_fails_the_play(
    tmp_path: Path, state: str, status: int
) -> None:
    run = tmp_path / "model/run"
    run.mkdir(parents=True)
    (tmp_path / "docker").write_text((DOCKER % state).replace("RUN", str(run)))
    (tmp_path / "docker").chmod(0o755)
    host = {"ansible_connection": "local", "trainer_dir": str(tmp_path), "trainer_name": "model"}
    done, output = run_play(tmp_path, START.replace("FOLDER", str(tmp_path)), {"here": host})
    assert done == status, output
    assert ("its last checkpoint is torn, correct that" in output) == bool(status)
