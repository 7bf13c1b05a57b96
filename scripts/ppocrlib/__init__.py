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


#: Packages that tell the control environment from a Python that happens to have some of them.
_TELLING = ("docker", "requests", "isal")


def _into_the_environment() -> None:
    """Start a command of scripts/ again with the control environment's Python, if need be."""
    command, environment = Path(sys.argv[0]).resolve(), ROOT / ".venv"
    if command.parent != ROOT / "scripts" or all(map(importlib.util.find_spec, _TELLING)):
        return
    if Path(sys.prefix) == environment or not (environment / "bin/python").exists():
        sys.exit(
            f"error: {command.name} needs this project's Python environment, and {environment} is "
            "not there or not complete: `scripts/lab --help` makes it, and scripts/deploy does"
        )
    os.execv(environment / "bin/python", [str(environment / "bin/python"), *sys.argv])  # noqa: S606


_into_the_environment()
