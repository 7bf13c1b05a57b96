"""What a bundle holds of the project."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from ppocr_control import ROOT, git
from ppocr_control.bundle import project
from ppocr_control.images import context


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the list is compared with git's")
def test_the_parts_are_all_that_is_committed() -> None:
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=True
    ).stdout
    assert set(project.PARTS) == {name.split("/")[0] for name in listed.splitlines()}


def test_git_need_not_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert context.revision() == "unknown" and git.output("archive", "HEAD") == b""


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    first, last = (
        int(version.split(".")[1]) for version in (project.PYTHONS[0], project.PYTHONS[-1])
    )
    asked = f">=3.{first},<3.{last + 1}"
    assert (
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"] == asked
    )
    environment = (ROOT / "scripts/lib/env.sh").read_text()
    assert f"(3, {first}) <= sys.version_info[:2] < (3, {last + 1})" in environment
    assert f"CPython 3.{first} to 3.{last} is needed" in environment


def test_outside_git_nothing_else_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "project"
    for name in ("roles/a/x.yml", "README.md", "my-bundle/x", "secrets.yml", "roles/a/x.pyc"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    monkeypatch.setattr(project, "ROOT", root)
    monkeypatch.setattr(git, "ROOT", root)
    project.copy_project(tmp_path / "copy")
    taken = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path / "copy")) for path in taken) == [
        "README.md", "roles/a/x.yml",
    ]  # fmt: skip
