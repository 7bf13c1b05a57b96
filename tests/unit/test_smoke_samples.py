"""The committed sample pictures, their index, and folders of one's own."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import PIL
import pytest
from PIL import Image

from smoke_tests import draw_samples
from smoke_tests.needs import lacking
from smoke_tests.samples import load_samples

FOLDER = draw_samples.SAMPLES_DIR
INDEX = json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))


def test_index_and_pictures_agree() -> None:
    listed = {entry["file"] for entry in INDEX["samples"]}
    present = {path.name for path in FOLDER.iterdir() if path.suffix in (".png", ".jpg")}
    assert listed == present
    for entry in INDEX["samples"]:
        data = (FOLDER / entry["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"], entry["file"]
        with Image.open(FOLDER / entry["file"]) as picture:
            assert picture.size == (entry["width"], entry["height"]), entry["file"]


def test_index_says_what_the_script_draws() -> None:
    drawn = {sample.file: sample.lines() for sample in draw_samples.samples()}
    assert drawn == {entry["file"]: entry["lines"] for entry in INDEX["samples"]}
    needs = {sample.file: sample.needs for sample in draw_samples.samples()}
    assert needs == {entry["file"]: entry.get("needs", {}) for entry in INDEX["samples"]}


def test_image_json_is_the_request_of_one_sample() -> None:
    body = json.loads((FOLDER / "image.json").read_text(encoding="ascii"))
    assert list(body) == ["images"]
    assert [base64.b64decode(image, validate=True) for image in body["images"]] == [
        (FOLDER / draw_samples.IMAGE_JSON_SAMPLE).read_bytes()
    ]


def test_samples_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000


def test_every_kind_of_sample_is_there() -> None:
    tags = {tag for entry in INDEX["samples"] for tag in entry["tags"]}
    assert tags >= {"chinese", "english", "digits", "mixed", "rotated", "small", "large", "jpeg"}


def test_same_fonts_draw_the_same_bytes(tmp_path: Path) -> None:
    fonts = []
    for names in (draw_samples.CHINESE_FONTS, draw_samples.LATIN_FONTS):
        try:
            fonts.append(draw_samples.find_font(names))
        except SystemExit:
            pytest.skip("the fonts of the samples are not installed here")
    recorded = INDEX["drawn_with"]
    here = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in fonts}
    if recorded != {"pillow": PIL.__version__, "fonts": here}:
        pytest.skip("other fonts or another Pillow than the samples were drawn with")
    for name in draw_samples.write_samples(tmp_path, *fonts):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_drawing_into_a_folder_leaves_the_pictures_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(draw_samples, "draw", lambda *_: b"a picture")
    theirs = tmp_path / "holiday.jpg"
    theirs.write_text("an operator's")
    font = tmp_path / "font.ttf"
    font.write_text("a font")
    draw_samples.write_samples(tmp_path, font, font)
    assert theirs.read_text() == "an operator's"


def test_missing_font_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(draw_samples, "FONT_DIRS", (tmp_path,))
    with pytest.raises(SystemExit, match="fonts-wqy-microhei"):
        draw_samples.find_font(draw_samples.CHINESE_FONTS)


def test_a_folder_of_ones_own_takes_text_files(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg")
    (tmp_path / "a.txt").write_text("第一行\n\nsecond line\n", encoding="utf-8")
    first, second = load_samples(tmp_path)
    assert first.lines == ("第一行", "second line")
    assert second.lines is None


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (None, "holds no sample pictures"),
        ("{", "is not JSON"),
        ('{"samples": [{"file": "../x.png"}]}', "which is not in"),
        ('{"samples": [{"file": "gone.png"}]}', "which is not in"),
        ('{"samples": [{}]}', 'object with a "file"'),
    ],
)
def test_a_wrong_folder_is_told_in_one_sentence(
    tmp_path: Path, index: str | None, message: str
) -> None:
    if index is not None:
        (tmp_path / "samples.json").write_text(index, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_samples(tmp_path)


def test_needs_of_samples_of_ones_own(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    entry = {"file": "a.png", "lines": [], "needs": {"use_angle_cls": True}}
    (tmp_path / "samples.json").write_text(json.dumps({"samples": [entry]}))
    assert load_samples(tmp_path)[0].needs == {"use_angle_cls": True}
    (tmp_path / "samples.json").write_text(json.dumps({"samples": [{**entry, "needs": ["x"]}]}))
    with pytest.raises(ValueError, match='"needs" of a.png is an object'):
        load_samples(tmp_path)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, ""),
        ({"drop_score": 0.6}, ""),
        ({"cls": True, "side": 900}, ""),
        ({"cls": "yes", "side": "900"}, ""),
        ({"cls": False}, "needs cls true (hubserving_params)"),
        ({"cls": "false"}, "needs cls true (hubserving_params)"),
        ({"side": 1280}, "needs side at least 640 and at most 1120 (hubserving_params)"),
        ({"side": "1280.0"}, "needs side at least 640 and at most 1120 (hubserving_params)"),
        ({"type": "min"}, 'needs type "max" (hubserving_params)'),
        ({"side": "many"}, ""),
        (
            {"cls": "no", "type": "min"},
            'needs cls true, type "max" (hubserving_params)',
        ),
    ],
)
def test_what_a_sample_needs(params: dict, reason: str) -> None:
    needs = {"cls": True, "side": {"min": 640, "max": 1120}, "type": "max"}
    assert lacking(needs, params) == reason
