"""scripts/predict_rec.py: which characters a model is read with, and which are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import yaml
from role_code import ROOT

from ppocr_control.commands import predict_rec
from ppocr_control.errors import Refused

CHARACTERS = ["A", "B", "C"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    return folder


def _text(characters: list[str]) -> str:
    return "".join(f"{each}\n" for each in characters)


def _chosen(model: Path, given: str | bytes | None = None) -> str:
    """The characters a model is read with, where a dictionary with this content is named."""
    file = model.with_name("given.txt")
    if given is not None:
        file.write_bytes(given if isinstance(given, bytes) else given.encode())
    args = Namespace(rec_model_dir=model, rec_char_dict_path=None if given is None else file)
    return predict_rec._dictionary(args, model.with_name("described.txt")).read_text()


def _describe(model: Path) -> None:
    said = {"PostProcess": {"name": "CTCLabelDecode", "character_dict": CHARACTERS}}
    (model / "inference.yml").write_text(yaml.safe_dump(said))


def test_a_model_brings_its_characters(model: Path) -> None:
    (model / "dict.txt").write_text(_text(CHARACTERS))
    assert _chosen(model) == _chosen(model, _text(CHARACTERS)) == _text(CHARACTERS)
    _describe(model)
    (model / "dict.txt").write_text("another\n")
    assert _chosen(model) == _chosen(model, _text(CHARACTERS)) == _text(CHARACTERS)


@pytest.mark.parametrize("name", ["dict.txt", "inference.yml"])
def test_the_same_characters_in_another_order_are_refused(model: Path, name: str) -> None:
    if name == "dict.txt":
        (model / name).write_text(_text(CHARACTERS))
    else:
        _describe(model)
    with pytest.raises(Refused, match=f"model's {name}, or another order: leave the option out"):
        _chosen(model, _text(CHARACTERS[::-1]))


def test_a_dictionary_in_disorder_does_not_stand_in_the_way_of_a_sound_one(model: Path) -> None:
    (model / "dict.txt").write_text(_text(CHARACTERS), encoding="utf-8-sig")
    assert _chosen(model, _text(CHARACTERS)) == _text(CHARACTERS)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            None,
            "--rec_char_dict_path: .*dict.txt does not exist: name the dictionary the model was",
        ),
        (b"\xef\xbb\xbfA\nB\n", "given.txt:1: it begins with a byte order mark, .* without BOM"),
        (b"A\r\nB\r\n", "given.txt:1: its lines end with CRLF: save it with LF"),
        ("甲\n".encode("gb18030"), "given.txt:1: it is not UTF-8: iconv .* --rec_char_dict_path"),
    ],
)
def test_what_would_read_wrong_text_is_refused(
    model: Path, given: bytes | None, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        _chosen(model, given)


def test_what_the_container_says_is_utf_8_in_any_locale() -> None:
    code = r"""
from ppocr_control.commands import predict_rec
line = r'{"text": "\345\255\227", "score": 1}'
print(ascii(list(predict_rec._answers(["printf", line], []))))
"""
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **locale, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "'text': '\\u5b57'" in done.stdout, done.stderr
