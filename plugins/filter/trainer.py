"""Filters of role trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The curve's place in its picture, in pixels.
_LEFT, _TOP, _WIDTH, _HEIGHT = 40, 40, 700, 300


def trainer_status(status: Mapping[str, Any], container: str = "") -> str:
    """One line: state, epoch, loss, best accuracy, time left, and what ended a run that failed.

    Args:
        status: what the container writes (status.json); empty for a run that was never started.
        container: the engine's word for the container's state; empty where there is none.
    """
    if not status:
        started = container == "running"
        return "starting" if started else "not started (playbooks/train.yml starts it)"
    state = status["state"]
    if state in ("training", "interrupted") and container != "running":
        state = f"interrupted, the container is {container or 'gone'} (playbooks/train.yml goes on)"
    parts = [state, f"epoch {status.get('epoch', 0)} of {status['epochs']}"]
    if status.get("loss") is not None:
        parts.append(f"loss {status['loss']:.4g}")
    if best := status.get("best"):
        indicator = best["indicator"]
        parts.append(f"best {indicator} {best[indicator]:.4f} in epoch {best['epoch']}")
    if state == "training" and status.get("left"):
        parts.append(f"{status['left']} left")
    if state == "failed":
        parts += [*status.get("why", []), "correct that; playbooks/train.yml goes on"]
    return ", ".join(parts)


def trainer_curve(status: Mapping[str, Any]) -> str:
    """An SVG of the metric at each evaluation, and of the loss as a share of its largest value."""
    rows, indicator = status["curve"], status["indicator"]
    most = max(row["loss"] or 0 for row in rows) or 1
    lines = (
        (indicator, "#1a7f37", [row.get(indicator, 0) for row in rows]),
        (f"loss / {most:.4g}", "#b35900", [(row["loss"] or 0) / most for row in rows]),
    )
    drawn = []
    for number, (name, colour, values) in enumerate(lines):
        points = " ".join(
            f"{_LEFT + _WIDTH * row['epoch'] / max(status['epochs'], 1):.1f},"
            f"{_TOP + _HEIGHT * (1 - value):.1f}"
            for row, value in zip(rows, values, strict=True)
        )
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        drawn.append(f'<text x="{_LEFT + 160 * number}" y="20" fill="{colour}">{name}</text>')
    for share in (0, 0.5, 1):
        y = _TOP + _HEIGHT * (1 - share)
        drawn.append(f'<line x1="{_LEFT}" y1="{y}" x2="{_LEFT + _WIDTH}" y2="{y}" stroke="#ccc"/>')
        drawn.append(f'<text x="4" y="{y + 4}">{share}</text>')
    last = (
        f'<text x="{_LEFT + _WIDTH - 70}" y="{_TOP + _HEIGHT + 20}">epoch {status["epochs"]}</text>'
    )
    size = f"{_LEFT + _WIDTH + 20} {_TOP + _HEIGHT + 30}"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-size="12">'
    return "".join([svg, *drawn, last, "</svg>"])


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Any]:
        return {"trainer_status": trainer_status, "trainer_curve": trainer_curve}
