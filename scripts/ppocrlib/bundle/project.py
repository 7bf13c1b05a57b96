"""This project and its Python packages, for a control node without internet."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from .. import ROOT
from ..outcome import Refused, Trouble
from ..progress import Progress

_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".lab", "build", "reports", "__pycache__", "*.pyc", ".*_cache", ".ansible"
)  # fmt: skip


def copy_project(folder: Path) -> None:
    """The project's files as committed; outside git all but what it makes itself."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", "HEAD"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        shutil.copytree(ROOT, folder, ignore=_LEFT_OUT)
        return
    folder.mkdir(parents=True)
    archive = folder / ".project.tar"
    archive.write_bytes(done.stdout)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()


def wheelhouse(
    folder: Path, versions: Sequence[str], index_url: str, progress: Progress
) -> list[str]:
    """Fetch the control node's Python packages as wheels; returns their names.

    Raises:
        Refused: a version the lock is not made for.
        Trouble: pip could not fetch them.
    """
    folder.mkdir(parents=True)
    for version in versions:
        if version not in ("3.11", "3.12"):
            raise Refused(f"bundle_python_versions: the lock is for 3.11 and 3.12, not {version}")
        progress.say(f"fetching Python packages for {version}")
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--require-hashes", "--no-deps", "--only-binary", ":all:", "--python-version", version,
            "--dest", str(folder), "--requirement", str(ROOT / "requirements/control.lock"),
            *(["--index-url", index_url] if index_url else []),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Trouble(f"pip could not fetch the wheels: {done.stderr.strip()[-1200:]}")
    return sorted(path.name for path in folder.glob("*.whl"))
