"""scripts/predict_rec.py: single lines read from the command line, by the guide's options."""

import json
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.containers import IMAGE, SAMPLES, docker
from tests.unit.role_code import ROOT


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The image's own recognition model, in a folder of this machine without its dictionary."""
    folder = tmp_path_factory.mktemp("model")
    made = docker("create", IMAGE).stdout.strip()
    docker("cp", f"{made}:/opt/ppocr/models/rec/.", str(folder))
    docker("rm", made)
    (folder / "dict.txt").rename(folder.parent / "dictionary.txt")
    return folder


def predict(*arguments):
    command = [sys.executable, "scripts/predict_rec.py", f"--image={IMAGE}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_it_prints_what_the_guides_tool_prints(model, tmp_path):
    (tmp_path / "b.png").write_bytes((SAMPLES / "line.png").read_bytes())
    (tmp_path / "a.jpg").write_text("no picture")
    (tmp_path / "notes.txt").touch()
    options = ["--rec_model_dir", model, "--rec_image_shape", "3, 48, 320",
               "--rec_char_dict_path", model.parent / "dictionary.txt"]  # fmt: skip
    done = predict("--image_dir", SAMPLES / "line.png", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Predicts of {SAMPLES / 'line.png'}:('单行识别2026")
    done = predict("--json", "--image_dir", tmp_path, *options)
    assert done.returncode == 1 and "1 of 2 pictures cannot be read" in done.stderr
    broken, line = json.loads(done.stdout)
    assert broken["picture"].endswith("a.jpg") and "not an image" in broken["error"]
    assert line["text"].strip() == "单行识别2026" and line["score"] > 0.9


def test_a_folder_of_thousands_with_the_model_in_it_and_any_name(model, tmp_path):
    """The characters are those of inference.yml; names are more than a command line takes."""
    folder = tmp_path / "lines, mine: 1"
    shutil.copytree(model, folder)
    (folder / "dict.txt").write_text("another\n")
    characters = (model.parent / "dictionary.txt").read_text().splitlines()
    said = {"PostProcess": {"name": "CTCLabelDecode", "character_dict": characters}}
    (folder / "inference.yml").write_text(yaml.safe_dump(said, allow_unicode=True))
    for number in range(12_000):
        (folder / f"{number:0200}.png").touch()
    (folder / "z, last: one.png").write_bytes((SAMPLES / "line.png").read_bytes())
    options = [f"--image_dir={folder}", f"--rec_model_dir={folder}"]
    done = predict("--json", *options)
    assert "12000 of 12001 pictures cannot be read" in done.stderr
    assert json.loads(done.stdout)[-1]["text"].strip() == "单行识别2026"
    done = predict(*options, f"--rec_char_dict_path={folder / 'dict.txt'}")
    assert done.returncode == 3
    assert "has other characters than the model's inference.yml" in done.stderr


def test_a_recogniser_of_the_image_reads_by_its_name():
    line = f"--image_dir={SAMPLES / 'line.png'}"
    done = predict(line, "--recognizer=default")
    assert done.returncode == 0 and ":('单行识别2026" in done.stdout, done.stderr
    done = predict(line, "--recognizer=greek")
    assert done.returncode == 3
    assert "--recognizer: 'greek' is not one of the image's, default" in done.stderr
    done = predict(line, "--recognizer=default", "--rec_char_dict_path=dict.txt")
    assert done.returncode == 3 and "--recognizer has its own dictionary" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rec_char_dict_path": "/nowhere"}, "--rec_char_dict_path: /nowhere does not exist: name"),
        ({}, "dict.txt does not exist: name the dictionary the model was trained with"),
        ({"rec_char_dict_path": "{short}"}, "the dictionary has 51 characters, the recognition"),
        ({"rec_char_dict_path": "{marked}"}, "marked.txt:1: it begins with a byte order mark"),
        ({"rec_char_dict_path": "{crlf}"}, "crlf.txt:1: its lines end with CRLF: save it with LF"),
        ({"rec_image_shape": "3,48"}, "--rec_image_shape: '3,48' is not three numbers"),
        ({"rec_model_dir": "{short.parent}"}, "--rec_model_dir: model folder"),
        ({"image_dir": "/nowhere"}, "--image_dir: /nowhere does not exist"),
        ({"image": "ppocr:none"}, "--image: no image ppocr:none: build it"),
    ],
)
def test_what_does_not_go_together_is_refused(model, tmp_path, options, says):
    short = tmp_path / "short.txt"
    lines = (model.parent / "dictionary.txt").read_text().splitlines(keepends=True)
    short.write_text("".join(lines[:50]))
    marked, crlf = tmp_path / "marked.txt", tmp_path / "crlf.txt"
    marked.write_text("".join(lines), encoding="utf-8-sig")
    crlf.write_text("".join(lines), newline="\r\n")
    files = {"short": short, "marked": marked, "crlf": crlf}
    given = {"image_dir": SAMPLES / "line.png", "rec_model_dir": model, **options}
    done = predict(*(f"--{k}={str(v).format(**files)}" for k, v in given.items()))
    assert done.returncode == 3
    assert done.stderr.startswith("error: ") and says in done.stderr
    assert not done.stdout
