"""Files that are kept until an update is final."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppocr_hosts.former_files import FormerFiles

NAMES = ("config.json", "tokens", "tls.key")


@pytest.fixture
def files(tmp_path: Path) -> FormerFiles:
    """Of two files that are there, one that is not, and a stranger's."""
    (tmp_path / "config.json").write_text("former")
    (tmp_path / "tokens").write_text("former")
    (tmp_path / "notes.before").write_text("theirs")
    return FormerFiles(tmp_path, NAMES)


def update(folder: Path) -> None:
    """Change one, remove one, add one, as a run does."""
    (folder / "new").write_text("latter")
    (folder / "new").replace(folder / "config.json")
    (folder / "tokens").unlink()
    (folder / "tls.key").write_text("latter")


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_an_update_is_taken_back(files: FormerFiles, tmp_path: Path) -> None:
    former = content(tmp_path)
    files.keep()
    update(tmp_path)
    files.keep()  # what was kept first counts
    assert files.restore() and not files.restore()
    files.forget()
    assert content(tmp_path) == former


def test_a_restore_that_was_cut_off_is_finished(files, tmp_path: Path, monkeypatch) -> None:
    former = content(tmp_path)
    files.keep()
    update(tmp_path)
    unlink = Path.unlink

    def cut_off(path: Path, missing_ok: bool = False) -> None:
        if path.name == "tls.key":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", cut_off)
        with pytest.raises(KeyboardInterrupt):
            files.restore()
    assert content(tmp_path)["tokens"] == "former" and content(tmp_path)["tls.key"] == "latter"
    assert files.restore()
    files.forget()
    assert content(tmp_path) == former


def test_an_update_that_is_final_leaves_nothing_behind(files, tmp_path: Path) -> None:
    files.keep()
    update(tmp_path)
    latter = {"config.json": "latter", "tls.key": "latter", "notes.before": "theirs"}
    files.forget()
    assert content(tmp_path) == latter
    assert not files.restore() and content(tmp_path) == latter
