"""Runs the programs of shipping/on_host with the host's Python, without storing them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def program(name: str, settings: dict[str, Any], title: str) -> str:
    """Return the shell command that runs a program; it exits with 9 if the host has no Python.

    Args:
        name: the program's file name without its suffix.
        settings: the argument of its main; ps does not show it.
        title: the name ps shows.
    """
    text = (Path(__file__).parents[1] / "shipping/on_host" / f"{name}.py").read_text()
    return (
        "python=$(command -v python3 || command -v /usr/libexec/platform-python) || "
        "{ echo 'it has no python3' >&2; exit 9; }\n"
        f"$python - {title} <<'PROGRAM'\n{text}\nmain({settings!r})\nPROGRAM\n"
    )
