"""What git says of this project, where there is git and the project is a repository."""

from __future__ import annotations

import subprocess

from . import ROOT


def output(*arguments: str) -> bytes:
    """What a git command prints; empty where it fails, or git is not installed."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""
