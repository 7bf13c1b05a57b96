"""How far a run is, from the lines of PaddleOCR's log."""

from __future__ import annotations

import re
from typing import Any

_STEP = re.compile(r"epoch: \[(\d+)/(\d+)\], global_step: (\d+), (.*)")
_EVALUATED = re.compile(r"cur metric, (.*)")
_NUMBER = re.compile(r"([\w/]+): (-?[\d.]+(?:e-?\d+)?)(?=,|$|\s)")
_LEFT = re.compile(r"eta: ((?:\d+ days?, )?\d+:\d\d:\d\d)")


def _numbers(text: str) -> dict[str, float]:
    return {name: float(number) for name, number in _NUMBER.findall(text)}


def read(line: str, status: dict[str, Any]) -> bool:
    """Update the status from a line of the log; return whether it had progress.

    ``status`` gets epoch, epochs, step, loss, left (as PaddleOCR estimates it), and a row of
    ``curve`` for each evaluation.
    """
    if step := _STEP.search(line):
        epoch, epochs, number = (int(step[index]) for index in (1, 2, 3))
        found = _numbers(step[4])
        status |= {"epoch": epoch, "epochs": epochs, "step": number, "loss": found.get("loss")}
        if left := _LEFT.search(line):
            status["left"] = left[1]
        return True
    if evaluated := _EVALUATED.search(line):
        found = _numbers(evaluated[1])
        found.pop("fps", None)
        row = {"epoch": status.get("epoch", 0), "loss": status.get("loss"), **found}
        status.setdefault("curve", []).append(row)
        return True
    return False
