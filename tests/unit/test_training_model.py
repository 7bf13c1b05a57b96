"""The checks that take the real model: their sentences, with stand-ins for Paddle and OpenVINO."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy
import ppocr_trainer
import pytest
from ppocr_trainer import export

from ppocr_training.findings import Finding
from ppocr_training.job import Job, Places

JOB = Job("config.yml")


class Array(numpy.ndarray):
    """A tensor, as far as it is one."""

    def numpy(self) -> numpy.ndarray:
        return self.view(numpy.ndarray)


def tensor(*shape: int, of: float = 0.0) -> Any:
    return numpy.full(shape, of, "float32").view(Array)


class Layer:
    """A model that answers what it is told."""

    def __init__(self, answer: Any = None, **tensors: Any) -> None:
        self.answer, self.tensors = answer, tensors

    def state_dict(self) -> dict[str, Any]:
        return self.tensors

    def eval(self) -> None:
        pass

    def __call__(self, pictures: Any) -> Any:
        return self.answer


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Modules of the trainer image that import Paddle; weights are what ``paddle.files`` has."""
    files: dict[str, Any] = {}
    paddle = SimpleNamespace(
        nn=SimpleNamespace(Layer=Layer), files=files, load=files.__getitem__,
        to_tensor=lambda given: given, allclose=numpy.allclose,
        no_grad=lambda: numpy.errstate(), device=SimpleNamespace(
            cuda=SimpleNamespace(device_count=lambda: 3)
        ),
    )  # fmt: skip
    openvino = SimpleNamespace(CompiledModel=object, PartialShape=list)
    for name, stand_in in (("paddle", paddle), ("openvino", openvino)):
        monkeypatch.setitem(sys.modules, name, stand_in)  # type: ignore[arg-type]
    for each in ("captured", "rehearsal", "proof"):
        name = f"ppocr_trainer.{each}"
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        del sys.modules[name]  # it is taken out again after the test
        monkeypatch.delattr(ppocr_trainer, each, raising=False)
    return lambda name: importlib.import_module(f"ppocr_trainer.{name}")


def said(findings: Any) -> list[str]:
    found: list[Finding] = list(findings)
    return [str(each) for each in found]


def test_weights_that_do_not_fit_are_counted_and_named(trainer: Any) -> None:
    model = Layer(a=tensor(2), b=tensor(3), c=tensor(4), d=tensor(5))
    captured = trainer("captured")
    captured.paddle.files["w.pdparams"] = {"a": tensor(2), "b": tensor(4), "c": tensor(4, of=1.0)}
    found = captured.loaded(model, Path("w.pdparams"))
    assert found == {
        "of": 4, "loaded": 1,
        "not_loaded": [
            "b ([4] in the file, [3] in the model)", "c (other values)", "d (not in the file)",
        ],
    }  # fmt: skip
    (line,) = said(trainer("rehearsal")._check_weights(found))
    assert line.startswith("trainer_pretrained: 1 of 4 tensors are loaded from it; not b ([4] in")
    assert "give the weights of this config and dictionary" in line
    assert line.endswith(" [weights]")


def test_a_last_layer_that_does_not_fit_is_refused(trainer: Any) -> None:
    check = trainer("rehearsal")._check_width
    (line,) = said(check(31, 33))
    assert line.startswith("trainer_dictionary: the model's last layer is 31 wide, and dictionary,")
    assert "make 33: correct trainer_dictionary or Global.use_space_char [last_layer]" in line
    assert said(check(33, 33)) == said(check(0, 33)) == []


def test_labels_that_need_more_time_steps_are_refused(trainer: Any, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0.png\tABCD\n1.png\tAABC\n")
    (tmp_path / "val.txt").write_text("2.png AABB\n")
    config = {"Train": {"dataset": {}}, "Eval": {"dataset": {"delimiter": " "}}}
    places = Places(tmp_path, tmp_path)
    first, second = said(trainer("rehearsal")._check_columns(JOB, places, config, 4))
    assert first.startswith(
        f"{tmp_path}/train.txt:2: the label takes 5 time steps, and the model has 4: its loss would"
    )
    assert first.endswith("or cut them [label_columns]")
    assert second.startswith(f"{tmp_path}/val.txt:1: the label takes 6 time steps")


def test_room_on_disk_and_in_shared_memory_is_looked_at(
    trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, shm = SimpleNamespace(free=10 << 20), SimpleNamespace(total=64 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shm if "shm" in str(path) else disk)
    config = {part: {"loader": {"num_workers": 8}} for part in ("Train", "Eval")}
    no_room, shared = said(trainer("rehearsal")._check_room(config, Layer(a=tensor(1 << 20))))
    assert no_room.startswith("trainer_dir: 10 MiB are free, and a run needs about 148: make room")
    assert shared.startswith("trainer_shm: 64 MiB of shared memory are too little for 8 workers")
    assert "set trainer_shm: 512m, or num_workers: 0 in trainer_overrides" in shared


def test_cards_that_are_not_there_are_refused_before_the_tool_ends(trainer: Any) -> None:
    rehearse, places = trainer("rehearsal").rehearse, Places(Path("/none"), Path("/none"))
    report = rehearse(Job("config.yml", device="gpu", cards="0,1,2,3"), places)
    (line,) = report.as_dict()["refused"]
    assert line.startswith(
        "trainer_cards: of 4 cards 3 are there: name cards that nvidia-smi lists"
    )
    check = trainer("rehearsal")._check_cards
    assert said(check(Job("config.yml", device="gpu", cards="1,2,3"))) == []
    assert said(check(Job("config.yml", processes=4))) == []


# A line of three time steps: A, blank, B, over the characters A, B, C and the space.
CHARACTERS = ["blank", "A", "B", "C", " "]
SCORES = numpy.array([[[0, 0.9, 0, 0, 0.1], [1, 0, 0, 0, 0], [0, 0, 0.8, 0.2, 0]]], "float32")


class Decoder:
    character = CHARACTERS

    def __call__(self, scores: Any, labels: Any) -> Any:
        return None, [("AB", 1.0)]


class Exported:
    """A compiled model, which answers these scores."""

    def __init__(self, scores: Any) -> None:
        self._scores = scores

    def input(self, number: int) -> Any:
        shape = SimpleNamespace(compatible=lambda other: other == [1, 3, 48, 320])
        return SimpleNamespace(get_partial_shape=lambda: shape)

    def __call__(self, pictures: Any) -> Any:
        return [self._scores]


class Loader(list[Any]):
    """A set of one line."""

    dataset = SimpleNamespace(data_lines=[b"words/0.png\tAB"])
    batch_sampler = None


@pytest.fixture
def proved(trainer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What the proof of an exported model says; of a refusal, its sentence."""
    model = Layer(SCORES.view(Array), a=tensor(2))
    proof = trainer("proof")
    proof.paddle.files["best.pdparams"] = {"a": tensor(2)}
    loader = Loader([(tensor(1, 3, 48, 320), tensor(1, 2))])
    monkeypatch.setattr(proof.captured, "reach", lambda *_: [{}, model, loader, Decoder()])

    def prove(scores: Any = SCORES, characters: str = "A\nB\nC\n", **tensors: Any) -> Any:
        model.tensors = tensors or {"a": tensor(2)}
        monkeypatch.setattr(proof, "_compiled", lambda folder: Exported(scores))
        (tmp_path / "dict.txt").write_text(characters)
        try:
            return proof.prove(JOB, Places(tmp_path, tmp_path), Path("best"), tmp_path)
        except proof.Refused as error:
            return str(error)

    return prove


def test_a_copy_of_the_checkpoint_is_proved(proved: Any) -> None:
    assert proved() == {"lines": 1, "confidences_apart": 0.0, "accuracy": 1.0}


def test_random_weights_are_refused(proved: Any) -> None:
    """What a second -o and a mistyped key leave."""
    sentence = proved(SCORES[:, ::-1])
    assert sentence.startswith("1 of 1 lines are read differently; its output differs from the che")
    assert "a second -o or a mistyped key at export silently leaves random ones" in sentence
    assert "let playbooks/export.yml export it. words/0.png: 'AB' (0.8500) became 'BA'" in sentence


def test_another_dictionary_is_refused(proved: Any) -> None:
    sentence = proved(characters="C\nB\nA\n")
    assert "its dict.txt is not the dictionary it was trained with: pack that one" in sentence
    assert "words/0.png: 'AB' (0.8500) became 'CB'" in sentence
    sentence = proved(characters="A\nB\nC\nD\nE\n")
    assert sentence.startswith(
        "dict.txt makes 6 characters with blank and space, and the model has"
    )
    assert sentence.endswith("has 5: pack the dictionary it was trained with")


def test_an_export_of_another_width_is_refused(proved: Any) -> None:
    sentence = proved(numpy.zeros((1, 3, 7), "float32"))
    assert "it was exported with another config or dictionary" in sentence
    sentence = proved(a=tensor(2), b=tensor(3))
    assert sentence.startswith("1 of 2 tensors of the checkpoint fit the config (not b (not in the")
    assert sentence.endswith("export with the config of the training")


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (None, "trainer_name: the run has no best model: train first"),
        ({"acc": 0.0, "indicator": "acc"}, "trainer_name: the best acc is 0: look at the report"),
    ],
)
def test_a_run_without_a_model_worth_it_is_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: Any, sentence: str
) -> None:
    monkeypatch.setattr(export, "RUN", tmp_path)
    monkeypatch.setattr(export, "take", lambda folder: kept)
    (line,) = export.export(JOB, Places(tmp_path, tmp_path)).as_dict()["refused"]
    assert line.startswith(sentence)


def test_folders_beside_a_given_model_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given"
    (given / ".git").mkdir(parents=True)
    (given / "inference.pdmodel").touch()
    (tmp_path / "config.yml").write_text("Global: {}\nArchitecture: {model_type: det}\n")
    kept = {"acc": 0.5, "indicator": "acc", "epoch": 1, "prefix": tmp_path / "best"}
    monkeypatch.setattr(export, "RUN", tmp_path)
    monkeypatch.setattr(export, "EXPORT", tmp_path / "export")
    monkeypatch.setattr(export, "GIVEN", given)
    monkeypatch.setattr(export, "take", lambda folder: kept)
    monkeypatch.setattr(export.child, "call", lambda *_: {"lines": 1, "apart": 0.0})
    monkeypatch.setattr(export.record, "read", dict)
    report = export.export(JOB, Places(tmp_path, tmp_path)).as_dict()
    assert report["refused"] == [] and report["facts"]["kind"] == "det"
    card = json.loads((tmp_path / "export/model-card.json").read_text())
    assert list(card["files"]) == ["inference.pdmodel"]
