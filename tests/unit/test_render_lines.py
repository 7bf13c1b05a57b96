"""Lines are drawn from a word list, alike for the same seed, and mixed with a general set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ppocr_control.commands import render_lines

DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
pytestmark = pytest.mark.skipif(not DEJAVU.exists(), reason="needs fonts-dejavu-core")


def draw(folder: Path, *options: Any, words: str = "PLATE 7\nGATE-42\n") -> int:
    (folder / "words.txt").write_text(words)
    arguments = ["--words", folder / "words.txt", "--fonts", DEJAVU, "--count", 10, "--quiet"]
    return render_lines.main([*map(str, arguments), *map(str, options)])


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_draws_the_same_lines(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert draw(tmp_path, "--out", tmp_path / name, "--seed", seed, "--degrade", 1) == 0
    assert content(tmp_path / "a") == content(tmp_path / "b") != content(tmp_path / "c")
    lines = (tmp_path / "a/train.txt").read_text().splitlines()
    assert len(lines) == 10
    assert {line.partition("\t")[2] for line in lines} == {"PLATE 7", "GATE-42"}
    assert len((tmp_path / "a/val.txt").read_text().splitlines()) == 2
    assert (tmp_path / "a/dict.txt").read_text().split() == list("-247AEGLPT")
    with Image.open(tmp_path / "a" / lines[0].partition("\t")[0]) as picture:
        assert picture.height == 48
        dark, light = picture.convert("L").getextrema()
        assert light - dark > 100


def test_no_picture_is_drawn_twice(tmp_path: Path) -> None:
    options = ["--count", 150, "--degrade", 0, "--out", tmp_path / "new"]
    assert draw(tmp_path, *options, words="A\n") == 0
    pictures = content(tmp_path / "new/drawn")
    assert len(set(pictures.values())) == len(pictures) == 180


def test_a_general_set_is_mixed_in(tmp_path: Path) -> None:
    assert draw(tmp_path, "--out", tmp_path / "general", "--seed", 1, words="else\n") == 0
    general = tmp_path / "general/train.txt"
    for ratio, number in ((1, 10), (0.5, 5), (3, 10)):
        out = tmp_path / f"mixed-{ratio}"
        assert draw(tmp_path, "--out", out, "--general", general, "--ratio", ratio) == 0
        mixed = [line for line in (out / "train.txt").read_text().splitlines() if "\telse" in line]
        assert len(mixed) == number
        assert all((out / line.partition("\t")[0]).is_file() for line in mixed)
    assert {"e", "l", "s"} <= set((out / "dict.txt").read_text().split())


def test_a_font_that_cannot_be_drawn_with_is_left_out_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    (fonts / "DejaVuSans.ttf").symlink_to(DEJAVU)
    (fonts / "NotoColorEmoji.ttf").write_bytes(b"pictures of one size")
    assert draw(tmp_path, "--out", tmp_path / "a", "--fonts", fonts) == 0
    assert draw(tmp_path, "--out", tmp_path / "b", "--fonts", fonts / "NotoColorEmoji.ttf") == 3
    assert "NotoColorEmoji.ttf is no font" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words", "message"),
    [
        (["--out", "{}/new"], "\u9f98\n", "none of 1 fonts has all characters of"),
        (["--out", "{}/new"], "\n", "has no words"),
        (["--out", "{}"], "a\n", "is there already"),
        (["--out", "{}/new", "--degrade", "2"], "a\n", "--degrade is between 0 and 1"),
        (["--out", "{}/new", "--height", "0"], "a\n", "--height are at least 1"),
        (["--out", "{}/new", "--held-back", "-1"], "a\n", "--ratio are not negative"),
        (["--out", "{}/new"], "a\nb\t7\n", "'b\\t7' has a tab"),
        (["--out", "{}/new", "--fonts", "{}/none"], "a\n", "no fonts in"),
        (["--out", "{}/new", "--general", "{}/none.txt"], "a\n", "--general"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str, message: str
) -> None:
    given = [option.format(tmp_path) for option in options]
    assert draw(tmp_path, *given, words=words) == 3
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
