"""scripts/release in a repository of its own, by real git: what it refuses, changes and says."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ppocr_control import ROOT, changelog, version
from tests.tiers import first_by_default

COPIED = ("pyproject.toml", "docs", "inventory", "playbooks", "roles", "scripts", "src")
OLD, LAST = version.current(), version.key(version.current())
NEW = f"{LAST[0]}.{LAST[1] + 1}.0"
CHANGELOG = f"""# Changelog

## Unreleased

### Added

- A kettle.

## {OLD} - 2026-01-01

First version.
"""
GIT = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}  # fmt: skip


class Project:
    """A copy of this project in a repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {**GIT, "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self.variables, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ppocr_control.commands.release", *arguments],
            cwd=self.folder, env={**self.variables, "PYTHONPATH": str(self.folder / "src")},
            check=False, capture_output=True, text=True,
        )  # fmt: skip

    def refused(self, *arguments: str) -> str:
        """What it says where nothing may change."""
        before = self.state()
        done = self.release(*arguments)
        assert done.returncode == 3, done.stdout + done.stderr
        assert self.state() == before
        return done.stderr

    def state(self) -> tuple[str, ...]:
        return self.git("rev-parse", "HEAD"), self.git("status", "--short"), self.git("tag")

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One for all tests that change nothing."""
    made = Project(tmp_path_factory.mktemp("committed") / "project")
    made.folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, made.folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, made.folder / name)
    made.write("CHANGELOG.md", CHANGELOG)
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("add", ".")
    made.git("commit", "--quiet", "--message", "All")
    return made


@pytest.fixture
def project(committed: Project, tmp_path: Path) -> Project:
    """A test's own."""
    shutil.copytree(committed.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def test_a_release_is_one_commit_and_a_tag(project: Project) -> None:
    before = project.git("rev-parse", "HEAD")
    began = datetime.date.today()
    done = project.release(NEW, "--no-bundle", "--skip-tests")
    assert done.returncode == 0, done.stderr
    assert f"git push REMOTE main v{NEW}" in done.stdout
    assert project.git("rev-parse", "HEAD~1") == before
    assert project.git("log", "-1", "--format=%s") == f"Release {NEW}"
    assert project.git("status", "--short") == ""
    assert project.git("cat-file", "-t", f"v{NEW}") == "tag"
    assert project.git("rev-parse", f"v{NEW}^{{commit}}") == project.git("rev-parse", "HEAD")
    assert "### Added\n\n- A kettle." in project.git("tag", "-l", "--format=%(contents)", f"v{NEW}")

    assert version.current(project.folder) == NEW
    text = project.read("CHANGELOG.md")
    days = {began, datetime.date.today()}  # midnight may come
    heads = [f"## Unreleased\n\n## {NEW} - {day}\n\n### Added" for day in days]
    assert any(head in text for head in heads)
    assert changelog.section(text, OLD) == "First version."
    assert f"default('{NEW}')" in project.read("roles/ppocr_image/defaults/main.yml")
    assert f"| `ppocr_version` | str | `{NEW}` |" in project.read("docs/settings.zh-CN.md")
    assert f"ppocr:{NEW}" in project.read("docs/shipping.md")
    assert f"ppocr:{OLD}" not in project.read("src/ppocr_control/commands/build_image.py")
    changed = set(project.git("diff", "--name-only", "HEAD~1").split())
    assert not any(name.endswith(("module.py", ".lock")) for name in changed)

    # The next one has nothing to tell yet.
    assert "has nothing below Unreleased" in project.refused(f"{LAST[0] + 1}.0.0", "--no-bundle")


def test_a_dry_run_says_what_it_would_do(committed: Project) -> None:
    before = committed.state()
    done = committed.release(NEW, "--dry-run", "--no-bundle")
    assert done.returncode == 0, done.stderr
    assert committed.state() == before
    assert "run scripts/test --quick" in done.stdout
    assert f"{OLD} to {NEW}" in done.stdout
    assert f"tag it v{NEW}" in done.stdout
    done = committed.release(NEW, "--dry-run", "--no-bundle", "--skip-tests", "--json")
    assert "run scripts/test --quick" not in json.loads(done.stdout)["would"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["1.1"], "write three numbers, such as 1.1.0"),
        (["v9.0.0"], "write three numbers, such as 1.1.0"),
        ([OLD], f"is not greater than the last version, {OLD}: choose a greater"),
        ([NEW, "--branch", "fixes"], "this is main, not fixes: git switch fixes, or"),
        ([NEW], "name an SSH key with --sign, or --no-bundle"),
        ([NEW, "--sign", "/no/key"], "--sign /no/key: there is no such file"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused(
    committed: Project, arguments: list[str], words: str
) -> None:
    assert words in committed.refused(*arguments, "--skip-tests")


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    first_by_default(
        [
            ("CHANGELOG.md", "## Unreleased\n", "", "has no section '## Unreleased': add one"),
            ("CHANGELOG.md", "- A kettle.\n", "", "has nothing below Unreleased: write there"),
            ("CHANGELOG.md", f"## {OLD}", f"## {NEW}", f"has a section {NEW}: move its entries"),
            (
                "docs/settings.md",
                "# All settings",
                "# Settings",
                "are stale: run scripts/settings.py",
            ),
        ]
    ),
)
def test_a_tree_that_is_not_in_order_is_refused(
    project: Project, name: str, old: str, new: str, words: str
) -> None:
    text = project.read(name)
    assert old in text
    project.write(name, text.replace(old, new))
    said = project.refused(NEW, "--no-bundle", "--skip-tests")
    assert f"there are changes that are not committed ({name}): commit or stash them" in said
    assert words in said  # all that is wrong is said at once
    project.git("commit", "--quiet", "--all", "--message", "Change")
    said = project.refused(NEW, "--no-bundle", "--skip-tests")
    assert words in said
    assert "nothing was changed" in said
    assert "not committed" not in said


def test_a_tag_counts_as_a_version(project: Project) -> None:
    project.git("tag", f"v{NEW}")
    project.git("tag", "v-experiment")
    said = project.refused(NEW, "--no-bundle", "--skip-tests")
    assert f"{NEW} is not greater than the last version, {NEW}" in said


def test_outside_git_it_is_refused(project: Project) -> None:
    shutil.rmtree(project.folder / ".git")
    done = project.release(NEW, "--no-bundle", "--skip-tests")
    assert done.returncode == 3
    assert done.stderr.startswith("error: release from a clone")


def test_tests_that_fail_end_it(project: Project) -> None:
    project.write("scripts/test", '#!/bin/sh\necho "tested $1"\nexit 1\n')
    project.git("commit", "--quiet", "--all", "--message", "Fail")
    before = project.state()
    done = project.release(NEW, "--no-bundle")
    assert done.returncode == 1
    assert "tested --quick" in done.stderr
    assert "scripts/test --quick failed (see above); nothing was changed" in done.stderr
    assert project.state() == before


def test_a_commit_that_is_refused_leaves_the_tree_as_it_was(project: Project) -> None:
    hook = project.folder / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho 'the hook says no' >&2\nexit 1\n")
    hook.chmod(0o755)
    before = project.state()
    done = project.release(NEW, "--no-bundle", "--skip-tests")
    assert done.returncode == 1
    assert "the hook says no" in done.stderr
    assert project.state() == before
    assert version.current(project.folder) == OLD


def test_it_goes_on_where_building_failed(project: Project, tmp_path: Path) -> None:
    """Image and bundle are made by scripts; here they only say what they were asked."""
    key = tmp_path / "key"
    key.touch()
    says = "import sys\nprint(sys.argv)\n"
    project.write("scripts/build_image.py", says)
    project.write("scripts/make_bundle.py", "raise SystemExit(1)\n")
    project.git("commit", "--quiet", "--all", "--message", "Stand-ins")
    command = [NEW, "--skip-tests", "--sign", str(key), "--out", str(tmp_path / "out")]
    done = project.release(*command)
    assert done.returncode == 1
    assert f"'--tag', 'ppocr:{NEW}'" in done.stderr
    assert f"v{NEW} is made and not pushed. Run the same command again to go on" in done.stderr
    made = project.state()

    project.write("scripts/make_bundle.py", says)
    assert "make_bundle.py" in project.refused(*command)
    project.git("checkout", "--", ".")
    assert f"go on from the tag v{NEW}" in project.release(*command, "--dry-run").stdout
    assert project.release(*command).returncode == 1
    assert project.state() == made


def test_what_the_bundle_is_made_with(project: Project, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch()
    for name in ("build_image.py", "make_bundle.py"):
        project.write(f"scripts/{name}", "import sys\nprint(sys.argv)\n")
    project.git("commit", "--quiet", "--all", "--message", "Stand-ins")
    out = tmp_path / "out"
    done = project.release(NEW, "--skip-tests", "--sign", str(key), "--out", str(out))
    assert done.returncode == 0, done.stderr
    bundle = f"{out}/ppocr-bundle-{NEW}"
    asked = ["--image", f"ppocr:{NEW}", "--out", bundle, "--sign", str(key), "--tar"]
    assert str(asked)[1:-1] in done.stderr
    assert f"the bundle {bundle}.tar" in done.stdout
    assert f"{key}.pub" in done.stdout


def test_the_script_starts_it() -> None:
    done = subprocess.run(
        ["/bin/sh", "-n", str(ROOT / "scripts/release")], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ppocr_control.commands.release" in (ROOT / "scripts/release").read_text()
