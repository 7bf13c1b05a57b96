"""What the scripts and roles do on the control node, as importable functions."""

import importlib.util
import os
import sys
from pathlib import Path

#: The repository.
ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"

# Rules that hold in the container as well (models, config.json, parameters) are written there once.
sys.path.insert(0, str(IMAGES / "ppocr/serving"))


def _into_the_environment() -> None:
    """Start a command of scripts/ again with the control environment's Python, if need be."""
    command, python = Path(sys.argv[0]).resolve(), ROOT / ".venv/bin/python"
    lacking = importlib.util.find_spec("docker") is None
    if lacking and command.parent == ROOT / "scripts" and python.exists():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606


_into_the_environment()
