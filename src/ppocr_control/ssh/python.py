"""Runs the programs of onhost/ under a Python that hosts have; they stay in no file there."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def program(name: str, settings: dict[str, Any], title: str) -> str:
    """The shell command that runs a program; it exits with 9 where the host has no Python.

    Args:
        name: of the program's file, without ending.
        settings: what its main is called with; ps shows none of them.
        title: what ps shows.
    """
    text = (Path(__file__).parents[1] / "shipping/on_host" / f"{name}.py").read_text()
    return (
        "python=$(command -v python3 || command -v /usr/libexec/platform-python) || "
        "{ echo 'it has no python3' >&2; exit 9; }\n"
        f"$python - {title} <<'PROGRAM'\n{text}\nmain({settings!r})\nPROGRAM\n"
    )
