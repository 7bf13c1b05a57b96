"""What playbooks/remove.yml removes of a folder that hubserving_config_dir names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit import role_code

NAMES = ["config.json", "params.json", "tokens", "tls.crt", "tls.key"]
MARK = ".made-by-ppocr"
module = role_code.load("plugins/modules/hubserving_config_absent.py")


def rendered(folder: Path, mark: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "params.json", *([MARK] if mark else [])):
        (folder / name).write_text("rendered")
    return folder


def remove(path: Path, own: bool = False, mounted: tuple[Path, ...] = (), **removal):
    removal = module.Removal(NAMES, MARK, **removal)
    return module.remove(path, [str(each) for each in mounted], own, removal)


@pytest.fixture
def paddle(tmp_path: Path) -> Path:
    """An operator's folder with a model, a config.json and a link, beside rendered folders."""
    folder = tmp_path / "paddle"
    for name in ("inference/model.pdmodel", "ppocr_own/config.json", "stopped/film.mkv", "notes"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("the operator's")
    rendered(tmp_path / "elsewhere")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    return folder


def files(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*")}


def test_an_operators_folder_keeps_all_that_is_his(paddle: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    rendered(paddle / "ppocr")
    rendered(paddle / "no-longer-in-the-inventory")
    done = remove(paddle)
    assert files(tmp_path) == before
    assert not done.kept
    assert not remove(paddle).removed


def test_a_file_put_beside_the_rendered_ones_stays(paddle: Path) -> None:
    folder = rendered(paddle / "ppocr")
    (folder / "model.onnx").write_text("the operator's")
    (folder / "tokens").mkdir()
    assert remove(paddle).kept == [str(folder)]
    assert {path.name for path in folder.iterdir()} == {MARK, "model.onnx", "tokens"}


def test_what_an_earlier_version_rendered_is_known_by_its_container(paddle: Path) -> None:
    folder = rendered(paddle / "ppocr", mark=False)
    remove(paddle)
    assert (folder / "config.json").exists()
    remove(paddle, mounted=(folder,))
    assert not folder.exists() and (paddle / "ppocr_own/config.json").exists()


def test_the_projects_own_folder_goes(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    rendered(etc / "ppocr", mark=False)
    (etc / "stopped").touch()
    remove(etc, own=True)
    assert not etc.exists()
    rendered(etc / "ppocr")
    (etc / "other").mkdir()
    (etc / "other" / "x").write_text("not rendered")
    assert remove(etc, own=True).kept == [str(etc)]
    assert (etc / "other" / "x").exists()


def test_a_folder_the_role_made_goes_and_one_that_was_there_stays(tmp_path: Path) -> None:
    made, there = tmp_path / "made", tmp_path / "there"
    for folder in (made, there):
        rendered(folder / "ppocr")
    (made / MARK).touch()
    remove(made)
    remove(there)
    assert not made.exists() and there.exists()


def test_check_mode_says_what_would_go(paddle: Path) -> None:
    rendered(paddle / "ppocr")
    before = files(paddle)
    assert str(paddle / "ppocr") in remove(paddle, dry=True).removed
    assert files(paddle) == before


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert not remove(tmp_path / "none").removed


def test_of_an_instance_that_is_no_longer_wanted_nothing_stays(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    for name in ("ppocr", "ppocr-edge", "ppocr-1", "ppocr-1-edge"):
        rendered(etc / name)
    (etc / "ppocr-1/tokens").write_text("secret")
    (etc / "stopped").touch()
    assert remove(etc, own=True, only=["ppocr-1", "ppocr-1-edge"], dry=True).removed
    assert (etc / "ppocr-1/tokens").exists()
    remove(etc, own=True, only=["ppocr-1", "ppocr-1-edge"])
    assert {path.name for path in etc.iterdir()} == {"ppocr", "ppocr-edge", "stopped"}
