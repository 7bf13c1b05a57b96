"""A model is trained, killed, trained on, exported and proved; and what is no copy is refused.

By the playbooks, with PaddleOCR's own tools of the wheel and the small network of overlay/.
"""

from __future__ import annotations

import base64
import copy
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Trainer, draw

from tests.containers import PORT, Container

pytestmark = pytest.mark.full
_LIMIT_SECONDS = 1200


def _wait(trainer: Trainer, when: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    end = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < end:
        status = trainer.status()
        if when(status):
            return status
        assert status.get("state") != "failed", status
        time.sleep(0.5)
    raise AssertionError(status)


def test_a_trap_is_reported_by_check_and_nothing_is_changed(trainer: Trainer) -> None:
    overrides = {"Global.pretrain_model": "best"}
    done = trainer.play("train", "--check", trainer_overrides=overrides)
    assert done.returncode != 0
    assert "write Global.pretrained_model" in " ".join(done.stdout.split())
    assert not trainer.host.exists()
    done = trainer.play("train", "--check")
    assert done.returncode == 0, done.stdout
    assert "'usable': 500" in done.stdout
    assert not trainer.host.exists()


def test_a_killed_run_goes_on_and_reads_nine_of_ten(trainer: Trainer) -> None:
    done = trainer.play("train")
    assert done.returncode == 0, done.stdout
    _wait(trainer, lambda status: status.get("epoch", 0) >= 4)
    trainer.docker("kill", trainer.container)
    done = trainer.play("train_status")
    assert "interrupted, the container is exited" in " ".join(done.stdout.split())
    assert "best acc" in done.stdout
    done = trainer.play("train")
    assert done.returncode == 0, done.stdout
    ended = _wait(trainer, lambda status: status["state"] == "finished")
    assert ended["epoch"] == 14
    assert ended["best"]["acc"] >= 0.9
    epochs = [row["epoch"] for row in ended["curve"]]
    assert epochs == sorted(epochs)
    resumed = (trainer.host / "run/console.log").read_text().partition("resume from")[2]
    begun = re.search(r"epoch: \[(\d+)/", resumed)
    assert begun
    assert int(begun[1]) > 1


def test_a_run_that_was_begun_with_something_else_is_refused(
    trainer: Trainer, tmp_path: Path
) -> None:
    other = tmp_path / "dict.txt"
    other.write_text((trainer.host / "source/configs/dict.txt").read_text() + "W\n")
    done = trainer.play("train", trainer_dictionary=str(other))
    assert done.returncode != 0
    assert "trainer_dictionary: this run was begun with another one" in " ".join(
        done.stdout.split()
    )
    assert trainer.status()["state"] == "finished"


def test_weights_of_another_width_are_refused(trainer: Trainer) -> None:
    weights = trainer.host / "run/kept/best/model.pdparams"
    done = trainer.play(
        "train", trainer_name=f"{trainer.name}-wide", trainer_pretrained=str(weights),
        trainer_overrides={"Architecture.Backbone.width": 32},
    )  # fmt: skip
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "1 of 29 tensors are loaded from it" in said
    assert "give the weights of this config" in said


def test_an_export_is_proved_equal_and_packed(trainer: Trainer) -> None:
    done = trainer.play("export", "--check")
    assert done.returncode == 0, done.stdout
    done = trainer.play("export")
    assert done.returncode == 0, done.stdout
    model = trainer.folder / "work/models" / trainer.name
    assert {path.name for path in model.iterdir()} >= {
        "inference.pdmodel", "inference.pdiparams", "dict.txt", "model-card.json", "model-card.md",
    }  # fmt: skip
    card = json.loads((model / "model-card.json").read_text())
    assert card["proof"]["lines"] == 100
    assert card["proof"]["confidences_apart"] < 1e-3
    assert card["proof"]["accuracy"] == card["best"]["acc"] >= 0.9
    assert set(card["trained_with"]["sums"]) == {"source", "data"}


def test_the_service_reads_new_lines_with_it(trainer: Trainer, tmp_path: Path) -> None:
    model = trainer.folder / "work/models" / trainer.name
    settings = tmp_path / "settings"
    settings.mkdir()
    module = {"init_args": {"version": "1.0.0"}, "predict_args": {}}
    config = {"modules_info": {"ocr_rec": module}}
    params = {
        "rec_model_dir": "/model",
        "rec_char_dict_path": "/model/dict.txt",
        "use_space_char": False,
    }
    for name, content in (("config", config), ("params", params)):
        (settings / f"{name}.json").write_text(json.dumps(content))
    data = draw(tmp_path, 20, 0, seed=99)
    labels = [line.split("\t") for line in (data / "train.txt").read_text().splitlines()]
    pictures = [base64.b64encode((data / name).read_bytes()).decode() for name, _ in labels]
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    service = Container("-v", f"{model}:/model:ro", "-v", f"{settings}:/etc/ppocr:ro", *PORT)
    try:
        status, answer = service.healthy().post("ocr_rec", {"images": pictures})
    finally:
        service.remove()
    assert status == 200, answer
    read = [line["text"] for line in json.loads(answer)["results"][0]]
    assert sum(text == one for (_, text), one in zip(labels, read, strict=True)) >= 19


def test_the_checkouts_own_predict_rec_reads_with_it(trainer: Trainer) -> None:
    image = trainer.docker("inspect", "--format", "{{.Image}}", trainer.container).stdout.strip()
    model = "/training/run/export"
    done = trainer.docker(
        "run", "--rm", "--network", "none", "--volume", f"{trainer.host}:/training:ro",
        "--workdir", "/training/source", "--entrypoint", "python", image,
        "tools/infer/predict_rec.py", "--use_gpu", "False", "--use_space_char", "False",
        "--image_dir", "/training/data/drawn", "--rec_model_dir", model,
        "--rec_char_dict_path", f"{model}/dict.txt", "--rec_image_shape", "3, 48, 192",
        "--save_log_path", "/tmp/",  # noqa: S108 - the container's own
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = trainer.host / "data"
    lines = [line for name in ("train", "val") for line in (data / f"{name}.txt").open()]
    truths = dict(line.rstrip("\n").split("\t") for line in lines)
    read = re.findall(r"Predicts of /training/data/(\S+?):\('(.*?)',", done.stdout + done.stderr)
    assert len(read) == len(truths) == 600
    assert sum(truths[name] == text for name, text in read) >= 540


def _export_by_hand(trainer: Trainer, *options: str) -> Path:
    """What tools/export_model.py leaves when a person gives it options."""
    target = trainer.folder / "work/by-hand"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True, mode=0o777)
    target.chmod(0o777)
    image = trainer.docker("inspect", "--format", "{{.Image}}", trainer.container).stdout.strip()
    done = trainer.docker(
        "run", "--rm", "--volume", f"{trainer.host}:/training:ro", "--volume", f"{target}:/out",
        "--workdir", "/training/source", "--entrypoint", "python", image,
        "tools/export_model.py", "-c", "configs/tiny_rec.yml", *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target


_BEST = "Global.pretrained_model=/training/run/kept/best/model"
_TARGET = "Global.save_inference_dir=/out"


@pytest.mark.parametrize(
    "options",
    [
        ["-o", _BEST, "-o", _TARGET, "Global.use_gpu=false"],
        ["-o", _BEST.replace("pretrained", "pretrain"), _TARGET, "Global.use_gpu=false"],
    ],
    ids=["a second -o", "a mistyped key"],
)
def test_an_export_of_random_weights_is_refused(trainer: Trainer, options: list[str]) -> None:
    done = trainer.play("export", trainer_exported=str(_export_by_hand(trainer, *options)))
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "100 of 100 lines are read differently" in said
    assert "a second -o or a mistyped key" in said


def test_an_export_with_another_dictionary_is_refused(trainer: Trainer) -> None:
    model = _export_by_hand(trainer, "-o", _BEST, _TARGET, "Global.use_gpu=false")
    characters = (trainer.host / "source/configs/dict.txt").read_text().split()
    (model / "dict.txt").write_text("\n".join(reversed(characters)) + "\n")
    done = trainer.play("export", trainer_exported=str(model))
    assert done.returncode != 0
    assert "its dict.txt is not the dictionary it was trained with" in " ".join(done.stdout.split())
    (model / "dict.txt").write_text("\n".join(characters) + "\nW\n")
    done = trainer.play("export", trainer_exported=str(model))
    assert "dict.txt makes 32 characters" in " ".join(done.stdout.split())


def test_two_processes_train_together(trainer: Trainer) -> None:
    two = copy.copy(trainer)
    two.name = f"{trainer.name}-two"
    two.host = trainer.host.with_name(two.name)
    settings = {"trainer_name": two.name, "trainer_processes": 2, "trainer_epochs": 2}
    try:
        done = two.play("train", trainer_evaluate_every=15, **settings)
        assert done.returncode == 0, done.stdout
        ended = _wait(two, lambda status: status["state"] == "finished")
    finally:
        two.docker("rm", "--force", two.container)
    # Each has half of the 500 lines, in batches of 16.
    assert ended["step"] <= 30
    assert len(list((two.host / "run/workers").glob("workerlog.*"))) == 2


def test_a_stopped_run_keeps_its_checkpoints(trainer: Trainer) -> None:
    done = trainer.play("train_stop")
    assert done.returncode == 0, done.stdout
    assert trainer.docker("container", "inspect", trainer.container).returncode != 0
    assert (trainer.host / "run/kept/best/model.pdparams").exists()
