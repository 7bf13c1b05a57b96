"""This project and its Python packages, for a control node without internet."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from .. import ROOT, git
from ..errors import Error, Refused
from ..progress import Progress

#: The project's files and folders; an operator may keep others beside them.
PARTS = (
    ".ansible-lint", ".ci", ".gitignore", ".pre-commit-config.yaml", ".shellcheckrc", ".yamllint",
    "CHANGELOG.md", "CONTRIBUTING.md", "CONTRIBUTING.zh-CN.md", "LICENSE", "README.md",
    "README.zh-CN.md", "SECURITY.md", "SECURITY.zh-CN.md", "ansible.cfg", "deploy.yml", "docs",
    "images", "inventory", "noxfile.py", "playbooks", "plugins", "pyproject.toml", "requirements",
    "roles", "scripts", "smoke_tests", "src", "tests",
)  # fmt: skip
#: CPython versions of control nodes, as in scripts/lib/env.sh and pyproject.toml.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


def copy_project(folder: Path) -> None:
    """Copy the project's committed files; outside git all files of PARTS."""
    committed = git.output("archive", "--format=tar", "HEAD")
    folder.mkdir(parents=True)
    if not committed:
        for path in (ROOT / name for name in PARTS):
            if path.is_dir():
                shutil.copytree(path, folder / path.name, ignore=_LEFT_OUT)
            elif path.exists():
                shutil.copy2(path, folder)
        return
    archive = folder / ".project.tar"
    archive.write_bytes(committed)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()


def wheelhouse(
    folder: Path, versions: Sequence[str], index_url: str, progress: Progress
) -> list[str]:
    """Download the control node's Python packages as wheels; return their names.

    Raises:
        Refused: a Python version the lock does not support.
        Error: pip could not download them.
    """
    folder.mkdir(parents=True)
    for version in versions:
        if version not in PYTHONS:
            raise Refused(
                f"bundle_python_versions: the lock is for {', '.join(PYTHONS)}, not {version}"
            )
        progress.say(f"fetching Python packages for {version}")
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--require-hashes", "--no-deps", "--only-binary", ":all:", "--python-version", version,
            "--dest", str(folder), "--requirement", str(ROOT / "requirements/control.lock"),
            *(["--index-url", index_url] if index_url else []),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Error(f"pip could not fetch the wheels: {done.stderr.strip()[-1200:]}")
    return sorted(path.name for path in folder.glob("*.whl"))
