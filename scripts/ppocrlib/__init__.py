"""What the scripts and roles do on the control node, as importable functions."""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

#: The repository.
ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"

# Rules that hold in the container as well (models, config.json, parameters) are written there once.
sys.path.append(str(IMAGES / "ppocr/serving"))


#: Packages that tell the control environment from a Python that happens to have some of them.
_TELLING = ("docker", "requests", "isal")


def _environments() -> Iterator[Path]:
    """Where scripts/lib/env.sh may have made the control environment, likeliest first."""
    if named := os.environ.get("PPOCR_VENV"):
        yield Path(named)
    yield ROOT / ".venv"
    cache = Path(os.environ.get("PPOCR_CACHE") or Path("~/.cache/ppocr").expanduser())
    for name in ("control", "dev"):
        lock = ROOT / f"requirements/{name}.lock"
        if lock.is_file():
            yield cache / f"venv-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"


def _into_the_environment() -> None:
    """Start a command of scripts/ again with the control environment's Python, if need be."""
    command = Path(sys.argv[0]).resolve()
    if command.parent != ROOT / "scripts" or all(map(importlib.util.find_spec, _TELLING)):
        return
    there = [each for each in _environments() if (each / "bin/python").exists()]
    if not there or Path(sys.prefix) in there:
        sys.exit(
            f"error: {command.name} needs this project's Python environment, and "
            f"{there[0] if there else ROOT / '.venv'} is not there or not complete: "
            "`scripts/lab --help` makes it, and scripts/deploy does"
        )
    python = str(there[0] / "bin/python")
    os.execv(python, [python, "-IB", *sys.argv])  # noqa: S606


_into_the_environment()
