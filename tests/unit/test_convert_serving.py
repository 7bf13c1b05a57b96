"""scripts/convert_serving.py beside what paddle_serving_client.convert wrote of the same model."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ppocr_control.commands import convert_serving
from ppocr_control.errors import OK, REFUSED

DATA = Path(__file__).parent / "data/serving"
MODEL = ("--model_filename", "inference.pdmodel", "--params_filename", "inference.pdiparams")


def converted(folder: Path, *options: str, model: Path = DATA / "model") -> int:
    """The exit status."""
    places = ("--serving_server", str(folder / "s"), "--serving_client", str(folder / "c"))
    return convert_serving.main(["--dirname", str(model), *MODEL, *places, *options])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_its_files_are_those_of_the_package(tmp_path: Path) -> None:
    assert converted(tmp_path) == OK
    recorded = contents(DATA / "converted")
    server = {name.replace("client", "server"): content for name, content in recorded.items()}
    assert contents(tmp_path / "c") == recorded
    assert contents(tmp_path / "s") == server | contents(DATA / "model")


def test_aliases_are_written_as_protocol_buffers_write_texts(tmp_path: Path) -> None:
    names = ("--feed_alias_names", 'a"b,字', "--fetch_alias_names", "one,two,three")
    assert converted(tmp_path, *names) == OK
    lines = (tmp_path / "c/serving_client_conf.prototxt").read_text().splitlines()
    assert [line.strip() for line in lines if "alias" in line] == [
        r'alias_name: "a\"b"', r'alias_name: "\345\255\227"',
        'alias_name: "one"', 'alias_name: "two"', 'alias_name: "three"',
    ]  # fmt: skip


def test_names_can_be_looked_at_first(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert converted(tmp_path, "--show_proto") == OK
    said = capsys.readouterr().out
    assert said.strip() == (DATA / "converted/serving_client_conf.prototxt").read_text().strip()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--dirname", "/no/such"), "--dirname: /no/such is no folder"),
        (("--model_filename", "x"), "x does not exist; "),
        (("--model_filename", "inference.json"), "is of Paddle 3 or ONNX"),
        (("--model_filename", "inference.pdiparams"), "no program of Paddle 2"),
        (("--params_filename", ""), "--params_filename: name the file with all parameters"),
        (("--fetch_alias_names", "one"), "--fetch_alias_names: 1 names for 3: save_infer_model/"),
        (("--serving_server", str(DATA)), f"--serving_server: {DATA} exists"),
    ],
    ids=range(7),
)
def test_what_cannot_be_converted_is_refused(
    options: tuple[str, str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert converted(tmp_path, *options) == REFUSED
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_one_folder_for_both_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert converted(tmp_path, "--serving_client", str(tmp_path / "s")) == REFUSED
    assert "are the same folder" in capsys.readouterr().err
    assert converted(tmp_path, "--serving_client", str(tmp_path / "s/c")) == REFUSED
    assert "one is in the other" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def _old_python() -> str:
    """A Python that the package has a wheel for."""
    for version in ("3.9", "3.8"):
        of_pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")
        for python in filter(None, (shutil.which(f"python{version}"), *map(str, of_pyenv))):
            if not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
                return python
    pytest.skip("paddle-serving-client 0.9.0 needs CPython 3.8 or 3.9, and none is here")


@pytest.mark.full
def test_the_package_itself_writes_these_files(tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    subprocess.run([_old_python(), "-m", "venv", tmp_path / "venv"], check=True)
    needed = ("paddlepaddle==2.6.2", "protobuf==3.20.3", "numpy<2", "requests", "six", "grpcio")
    pip = (python, "-m", "pip", "install", "--quiet")
    subprocess.run([*pip, *needed], check=True)
    subprocess.run([*pip, "--no-deps", "paddle-serving-client==0.9.0"], check=True)
    model, real = tmp_path / "model", tmp_path / "real"
    model.mkdir()
    subprocess.run([python, DATA / "draw_model.py", model], check=True)
    places = ("--serving_server", real / "s", "--serving_client", real / "c")
    subprocess.run(
        [python, DATA / "real_convert.py", "--dirname", model, *MODEL, *places], check=True
    )
    assert converted(tmp_path, model=model) == OK
    for side in "sc":
        ours, theirs = contents(tmp_path / side), contents(real / side)
        # Paddle saves the program anew: another file, the same network.
        ours.pop("inference.pdmodel", None), theirs.pop("inference.pdmodel", None)
        assert ours == theirs
    assert contents(real / "c") == contents(DATA / "converted")
    subprocess.run([python, DATA / "same_answers.py", tmp_path / "s", real / "s"], check=True)
