"""What PaddleOCR's tools silently accept is refused before a run, with place and remedy."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment
from PIL import Image
from role_code import ROOT

from ppocr_control.commands import training_files
from ppocr_control.files import file_sha256
from ppocr_training import config, record
from ppocr_training.checks import check_evaluated
from ppocr_training.job import Job, Places

CONFIG: dict[str, Any] = {
    "Global": {
        "use_gpu": True, "epoch_num": 10, "character_dict_path": "dict.txt", "max_text_length": 6,
        "use_space_char": False,
    },
    "Architecture": {"model_type": "rec", "Backbone": {"name": "Small", "scale": 0.5}},
    "Train": {
        "dataset": {"data_dir": "x", "label_file_list": ["x"]},
        "loader": {"batch_size_per_card": 2},
    },
    "Eval": {"dataset": {"data_dir": "x", "label_file_list": ["x"]}, "loader": {}},
}  # fmt: skip


class Set:
    """A checkout and a data set in which everything is right, until a test spoils something."""

    def __init__(self, folder: Path) -> None:
        self.source, self.data = folder / "source", folder / "data"
        (self.source / "tools").mkdir(parents=True)
        (self.source / "tools/train.py").touch()
        (self.source / "config.yml").write_text(yaml.safe_dump(CONFIG))
        (self.source / "dict.txt").write_text("A\nB\nC\n")
        self.data.mkdir()
        for number in range(6):
            Image.new("L", (8 + number, 8)).save(self.data / f"{number}.png")
        (self.data / "train.txt").write_text("0.png\tAB\n1.png\tBC\n2.png\tCAB\n")
        (self.data / "val.txt").write_text("3.png\tA\n4.png\tBCA\n")
        self.settings: dict[str, Any] = {
            "source": str(self.source), "config": "config.yml", "data": str(self.data),
        }  # fmt: skip
        self.out = folder / "out"

    def refused(self, capsys: pytest.CaptureFixture[str], **settings: Any) -> list[str]:
        arguments = ["--out", str(self.out), "--json", "--pack"]
        given = json.dumps({**self.settings, **settings})
        status = training_files.main([*arguments, "--settings", given])
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        found: list[str] = told["refused"] if "refused" in told else [told["error"]]
        assert bool(found) == bool(status)
        return found


@pytest.fixture
def run(tmp_path: Path) -> Set:
    return Set(tmp_path)


def _write(name: str, content: str | bytes) -> Callable[[Set], None]:
    """A spoiler: writes a file of the data set, or of the checkout."""

    def spoil(run: Set) -> None:
        path = (run.source if name in ("dict.txt", "config.yml") else run.data) / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return spoil


def test_what_is_in_order_is_packed(run: Set, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.refused(capsys) == []
    assert {path.name for path in run.out.iterdir()} == {"source.tar", "data.tar"}


@pytest.mark.parametrize(
    ("spoil", "place", "words"),
    [
        (_write("train.txt", "0.png AB\n1.png\tA\n2.png\tB\n"), "train.txt:1", "has no '\\t'"),
        (_write("train.txt", "0.png\tA\n9.png\tB\n"), "train.txt:2", "there is no picture"),
        (_write("train.txt", '0.png\tA\n["1.png", "9.png"]\tB\n'), "train.txt:2", "there is no"),
        (_write("train.txt", '0.png\tA\n["1.png", "/9.png"]\tB\n'), "train.txt:2", "is outside"),
        (_write("train.txt", "0.png\tA\n/1.png\tB\n2.png\tA\n"), "train.txt:2", "is outside"),
        (_write("train.txt", "0.png\tA\nx/../../1.png\tB\n2.png\tA\n"), "train.txt:2", "outside"),
        (_write("1.png", b"\x89PNG\r\n\x1a\nand no more"), "train.txt:2", "cannot be decoded"),
        (_write("train.txt", b"0.png\tA\n1.png\t\xbc\xd7\n"), "train.txt:2", "not UTF-8"),
        (_write("train.txt", "0.png\tAZ\n1.png\tZ\n"), "train.txt:1", "dictionary, 2 times"),
        (_write("train.txt", "0.png\tA\n1.png\tABCABCA\n"), "train.txt:2", "max_text_length is 6"),
        (_write("train.txt", "0.png\tA\r\n1.png\tA\n2.png\tA\n"), "train.txt:1", "ends with CRLF"),
        (_write("train.txt", "0.png\t\n1.png\tA\n2.png\tA\n"), "train.txt:1", "the label is empty"),
        (_write("train.txt", "0.png\tA\n"), "trainer_train_labels", "fewer than a batch of 2"),
        (_write("val.txt", ""), "trainer_validation_labels", "no line of it can be"),
        (_write("val.txt", "3.png\tABCABCABC\n"), "trainer_validation_labels", "would hang"),
        (_write("train.txt", "8.png\tA\n9.png\tA\n"), "trainer_train_labels", "would hang"),
        (_write("val.txt", "0.png\tAB\n"), "val.txt:1", "in training too"),
        (_write("dict.txt", b"\xef\xbb\xbfA\nB\nC\n"), "dict.txt:1", "byte order mark"),
        (_write("dict.txt", "A\r\nB\r\nC\r\n"), "dict.txt:1", "end with CRLF"),
        (_write("dict.txt", "A\nB\nA\nC\n"), "dict.txt:3", "'A' stands in line 1 already"),
        (_write("dict.txt", "甲\n".encode("gb18030")), "dict.txt:1", "not UTF-8"),
        (_write("config.yml", "Global: ["), "trainer_config", "cannot be read"),
    ],
)  # fmt: skip
def test_a_trap_is_refused_with_place_and_remedy(
    run: Set, capsys: pytest.CaptureFixture[str], spoil: Any, place: str, words: str
) -> None:
    spoil(run)
    found = [line for line in run.refused(capsys) if words in line]
    assert len(found) == 1
    where, _, rest = found[0].partition(": ")
    assert where.endswith(place)
    assert len(rest.partition(words)[2].partition(": ")[2]) > len("[check]"), "no remedy"
    assert not run.out.exists() or not list(run.out.glob("*.tar"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"overrides": {"Global.epoch_nun": 3}}, "write Global.epoch_num"),
        ({"overrides": {"Global.pretrain_model": "x"}}, "write Global.pretrained_model"),
        ({"overrides": {"Architecture.Backbone.scales": 1}}, "write Architecture.Backbone.scale"),
        ({"overrides": {"Global.use_gpu": True}}, "set trainer_device"),
        ({"overrides": {"Global.character_dict_path": "x"}}, "set trainer_dictionary"),
        ({"overrides": {"Global.save_res_path": "a=b"}}, "= in it"),
        ({"overrides": {"Global.export_with_pir": True}}, "in the form of Paddle 2"),
        ({"overrides": {"Global.save_epoch_step": 1}}, "the last and the best checkpoint"),
        ({"train_labels": ["a=b.txt"]}, "trainer_train_labels: the tools end at a=b.txt"),
        ({"train_labels": ["../data/train.txt"]}, "is outside trainer_data"),
        ({"general_labels": ["none.txt"]}, "correct trainer_general_labels"),
        ({"overrides": {"-o Global.seed": 1}}, "the config has no such key"),
        ({"device": "cpu", "cards": "0"}, "cards are named, and trainer_device is cpu"),
        ({"device": "gpu", "cards": "0-3"}, "write them as 0,1,2,3"),
        ({"train_labels": ["none.txt"]}, "trainer_data has no file none.txt"),
        ({"pretrained": "/nowhere/best"}, "trainer_pretrained: there is no file"),
        ({"pretrained": "https://example.com/w.tar"}, "set trainer_pretrained_sha256"),
        ({"dictionary": "/nowhere/dict.txt"}, "trainer_dictionary: there is no file"),
        ({"source": "/nowhere"}, "trainer_source: there is no file"),
        ({"config": "none.yml"}, "correct trainer_source or trainer_config"),
    ],
)
def test_a_setting_is_refused(
    run: Set, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], words: str
) -> None:
    found = run.refused(capsys, **settings)
    assert any(words in line for line in found), found


def test_pictures_behind_a_link_are_packed(run: Set, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = run.data.with_name("elsewhere")
    elsewhere.mkdir()
    (run.data / "0.png").rename(elsewhere / "0.png")
    (elsewhere / "up").symlink_to(elsewhere)
    (run.data / "more").symlink_to(elsewhere)
    (run.data / "train.txt").write_text("more/0.png\tAB\n1.png\tBC\n")
    assert run.refused(capsys) == []
    with tarfile.open(run.out / "data.tar") as tar:
        assert {name for name in tar.getnames() if "0.png" in name} == {"more/0.png"}


@pytest.mark.parametrize("compression", ["gz", "xz"])
def test_an_archive_that_is_cut_off_is_refused(
    run: Set, capsys: pytest.CaptureFixture[str], tmp_path: Path, compression: str
) -> None:
    whole = tmp_path / f"data.tar.{compression}"
    (run.data / "noise").write_bytes(os.urandom(100_000))
    with tarfile.open(whole, f"w:{compression}") as tar:  # type: ignore[call-overload]
        tar.add(run.data, "data")
    assert run.refused(capsys, data=str(whole)) == []
    whole.write_bytes(whole.read_bytes()[:50_000])
    (line,) = run.refused(capsys, data=str(whole))
    assert line.startswith(f"trainer_data: {whole} is no folder, and no tar or zip that is whole")


def test_a_recogniser_without_a_dictionary_is_refused(
    run: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    given = config.merged(CONFIG, {"Global.character_dict_path": None})
    (run.source / "config.yml").write_text(yaml.safe_dump(given))
    (line,) = run.refused(capsys, accept=["dictionary"])
    assert line.startswith("trainer_dictionary: the config names no dictionary")


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"eval_batch_step": [0, 2000]}, True),
        ({"eval_batch_step": [0, 1500]}, False),
        ({"eval_batch_step": [1000, 501]}, True),
        ({"eval_batch_step": 1501}, True),
        ({"eval_batch_step": [0, 2000], "eval_batch_epoch": 1}, False),
    ],
)
def test_a_run_that_ends_before_its_first_evaluation_is_refused(
    settings: dict[str, Any], refused: bool
) -> None:
    found = [str(each) for each in check_evaluated({"epoch_num": 10, **settings}, 150)]
    assert bool(found) == refused
    for line in found:
        assert line.startswith("trainer_evaluate_every: the run has 1500 steps")
        assert "set it to 150, the steps of an epoch" in line


def test_the_characters_of_the_config_in_another_order_are_refused(
    run: Set, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("A\nC\nB\n")
    (line,) = run.refused(capsys, dictionary=str(other))
    assert line.startswith(
        f"{other}:2: it has the characters of the config's own dictionary in another"
    )


def test_an_accepted_check_does_not_end_the_run(
    run: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.data / "train.txt").write_text("0.png\tAZ\n1.png\tA\n2.png\tB\n")
    assert run.refused(capsys, accept=["unknown_character"]) == []


def test_a_recogniser_is_trained_with_accepted_ends_of_lines(
    run: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.data / "train.txt").write_bytes(b"0.png\tA\r\n1.png\tA\r\n2.png\tB\r\n")
    assert "ends with CRLF" in run.refused(capsys)[0]
    assert run.refused(capsys, accept=["label_line_end"]) == []


def test_what_the_tools_hang_at_cannot_be_accepted(
    run: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.data / "val.txt").write_text("9.png\tA\n")
    found = run.refused(capsys, accept=["nothing_usable", "picture_missing"])
    assert [line for line in found if "the tools would hang" in line]


def test_many_findings_of_a_kind_are_counted(run: Set, capsys: pytest.CaptureFixture[str]) -> None:
    (run.data / "train.txt").write_text(
        "".join(f"{n}0.png\tA\n" for n in range(9)) + "0.png\tA\n1.png\tA\n"
    )
    assert run.refused(capsys)[3] == "6 more of picture_missing"


@pytest.mark.parametrize(
    ("kind", "label", "words"),
    [
        ("det", "AB", "no list of boxes"),
        ("det", '[{"transcription": "A", "points": [[0, 0]]}]', "no list of boxes"),
        ("cls", "90", "'90' is no class"),
    ],
)
def test_other_models_have_labels_of_their_own(
    run: Set, capsys: pytest.CaptureFixture[str], kind: str, label: str, words: str
) -> None:
    sound = {
        "det": '[{"transcription": "A", "points": [[0, 0], [9, 0], [9, 9], [0, 9]]}]',
        "cls": "180",
    }[kind]
    given = config.merged(CONFIG, {"Architecture.model_type": kind})
    (run.source / "config.yml").write_text(yaml.safe_dump(given))
    for name in ("train.txt", "val.txt"):
        lines = (run.data / name).read_text().splitlines()
        (run.data / name).write_text(
            "".join(f"{line.partition(chr(9))[0]}\t{sound}\n" for line in lines)
        )
    assert run.refused(capsys) == []
    with (run.data / "train.txt").open("a") as file:
        file.write(f"5.png\t{label}\n")
    assert words in run.refused(capsys)[0]


def test_a_classifier_has_the_classes_of_its_config(
    run: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = {"Architecture.model_type": "cls", "Global.label_list": ["0", "90", "180", "270"]}
    (run.source / "config.yml").write_text(yaml.safe_dump(config.merged(CONFIG, classes)))
    (run.data / "train.txt").write_text("0.png\t90\n1.png\t270\n2.png\t0\n")
    (run.data / "val.txt").write_text("3.png\t90\n")
    assert run.refused(capsys) == []
    (run.data / "train.txt").write_text("0.png\t45\n1.png\t270\n2.png\t0\n")
    (line,) = run.refused(capsys)
    assert "'45' is no class: write one of 0, 180, 270, 90" in line


def test_a_run_is_not_mixed_with_another(run: Set, capsys: pytest.CaptureFixture[str]) -> None:
    job = {
        "config": "config.yml",
        "overrides": {"Global.max_text_length": 5},
        "sums": {"source": "x"},
    }
    found = run.refused(capsys, begun=job)
    assert [line.partition(":")[0] for line in found] == [
        "trainer_overrides", "trainer_source", "trainer_data",
    ]  # fmt: skip
    assert "another trainer_name" in found[0]


def _commit(source: Path, name: str) -> str:
    (source / name).touch()
    git = ["git", "-C", str(source), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", name]):
        subprocess.run([*git, *arguments], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_run_goes_on_with_its_commit_when_upstream_moves(
    run: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    first = _commit(run.source, "first")
    run.settings["source"] = f"file://{run.source}"
    assert run.refused(capsys) == []
    sums = {part: file_sha256(run.out / f"{part}.tar") for part in ("source", "data")}
    begun = {"config": "config.yml", "overrides": {}, "commit": first, "sums": sums}
    _commit(run.source, "second")
    assert run.refused(capsys, begun=begun, overrides={}) == []
    (line,) = run.refused(capsys, begun=begun, overrides={}, source_version="main")
    assert f"trainer_source_version: {first}" in line


def test_evaluations_by_steps_replace_those_by_epochs(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path)
    assert "Global.eval_batch_epoch" not in Job("config.yml").options(places, tmp_path)
    job = Job("config.yml", {"Global.eval_batch_epoch": 1}, evaluate_every=500)
    options = job.options(places, tmp_path)
    assert options["Global.eval_batch_step"] == [0, 500]
    assert options["Global.eval_batch_epoch"] is None


def test_overrides_become_one_o(tmp_path: Path) -> None:
    job = Job("config.yml", {"Global.seed": 3, "Train.loader.batch_size_per_card": 8})
    command = job.training(job.options(Places(tmp_path, tmp_path), tmp_path), tmp_path)
    assert command.count("-o") == 1
    assert {"Global.seed=3", "Train.loader.batch_size_per_card=8"} <= set(command)
    assert {"Global.save_epoch_step=1000000000", "Global.export_with_pir=false"} <= set(command)


@pytest.mark.parametrize(
    ("settings", "launcher"),
    [
        ({"device": "gpu", "cards": "0,1,2,3"}, ["--gpus", "0,1,2,3"]),
        ({"processes": 2}, ["--nproc_per_node", "2"]),
        ({}, []),
    ],
)
def test_several_cards_are_launched_as_the_guide_does(
    tmp_path: Path, settings: dict[str, Any], launcher: list[str]
) -> None:
    job = Job("config.yml", **settings)
    command = job.training(job.options(Places(tmp_path, tmp_path), tmp_path), tmp_path / "log")
    before = command[: command.index("tools/train.py")]
    start = ["-m", "paddle.distributed.launch", "--log_dir", str(tmp_path / "log")]
    assert before == ([*start, *launcher] if launcher else [])
    assert f"Global.use_gpu={str(job.device == 'gpu').lower()}" in command


def _container(**settings: Any) -> list[str]:
    """The options of the engine for the containers of a run with these settings."""
    values = {
        "_trainer_run_dir": "/run", "trainer_shm": "1g", "trainer_memory": "", "trainer_cpus": "",
        "trainer_device": "cpu", "trainer_cards": "", **settings,
    }  # fmt: skip
    variables = yaml.safe_load((ROOT / "roles/trainer/vars/main.yml").read_text())
    template = NativeEnvironment().from_string(variables["_trainer_docker"])
    return [str(each) for each in template.render(values)]


def test_the_container_has_the_cards_and_no_others() -> None:
    options = _container(trainer_device="gpu", trainer_cards="0,1,2,3")
    assert options[-4:] == ["--gpus", "all", "--env", "CUDA_VISIBLE_DEVICES=0,1,2,3"]
    assert _container(trainer_device="gpu", trainer_cards=2)[-1] == "CUDA_VISIBLE_DEVICES=2"
    assert _container(trainer_device="gpu")[-1] == "CUDA_VISIBLE_DEVICES=0"
    assert "--gpus" not in _container()


def test_processes_find_each_other_without_a_network() -> None:
    """gloo ends where the name of its host has no address: seen with Paddle 2.6.2."""
    options = _container(trainer_processes=2)
    assert options[:4] == ["--network", "none", "--hostname", "localhost"]


def test_a_new_run_goes_by_no_record() -> None:
    assert list(record.check({}, {"config": "a"})) == []


def test_weights_of_a_url_are_held_to_their_sum(
    run: Set, site: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, address = site
    (folder / "best.pdparams").write_bytes(b"weights")
    given = {"pretrained": f"{address}/best.pdparams", "pretrained_sha256": "0" * 64}
    (said,) = run.refused(capsys, **given)
    assert said.startswith("trainer_pretrained, trainer_pretrained_sha256: ")
    assert "truncated or altered" in said
    given["pretrained_sha256"] = file_sha256(folder / "best.pdparams")
    assert run.refused(capsys, **given) == []
    (folder / "best.pdparams").unlink()
    assert run.refused(capsys, **given) == []  # it is kept
    (said,) = run.refused(capsys, **{**given, "pretrained_sha256": "1" * 64})
    assert "cannot fetch" in said


def test_a_line_may_have_several_pictures(run: Set, capsys: pytest.CaptureFixture[str]) -> None:
    _write("train.txt", '["0.png", "1.png"]\tAB\n2.png\tCAB\n')(run)
    assert run.refused(capsys) == []
    # Each of them is looked at, and the line is one of the two that a batch takes.
    _write("val.txt", "1.png\tA\n4.png\tBCA\n")(run)
    assert "the picture is in training too" in run.refused(capsys)[0]
    _write("train.txt", '["0.png", "2.png"]\tAB\n')(run)
    assert "1 usable lines are fewer than a batch of 2" in run.refused(capsys)[0]
