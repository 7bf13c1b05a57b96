"""Output of git about this project, if git is installed and the project is a repository."""

from __future__ import annotations

import subprocess

from . import ROOT


def output(*arguments: str) -> bytes:
    """Return the output of a git command; empty if it fails, or git is not installed."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""
