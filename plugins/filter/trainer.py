"""Filters of role trainer."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw, ImageFont

#: The curve's place in its picture, and the picture, in pixels.
_LEFT, _TOP, _WIDTH, _HEIGHT = 40, 40, 700, 300
_SIZE = _LEFT + _WIDTH + 20, _TOP + _HEIGHT + 30
#: Pixels from the name of one line to the next.
_NAME = 160
#: Where horizontal lines are drawn.
_SHARES = (0, 0.5, 1)


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


@dataclasses.dataclass(frozen=True)
class _Line:
    """A line of the curve, its points in pixels."""

    name: str
    colour: str
    points: list[tuple[float, float]]


def _lines(status: Mapping[str, Any]) -> list[_Line]:
    """The metric at each evaluation, and the loss as a share of its largest value."""
    rows, indicator = status["curve"], status["indicator"]
    most = max(row["loss"] or 0 for row in rows) or 1
    values = (
        (indicator, "#1a7f37", [row.get(indicator, 0) for row in rows]),
        (f"loss / {most:.4g}", "#b35900", [(row["loss"] or 0) / most for row in rows]),
    )
    return [
        _Line(
            name,
            colour,
            [
                (_LEFT + _WIDTH * row["epoch"] / max(status["epochs"], 1), _height_of(share))
                for row, share in zip(rows, shares, strict=True)
            ],
        )
        for name, colour, shares in values
    ]


def _height_of(share: float) -> float:
    return _TOP + _HEIGHT * (1 - share)


def trainer_curve(status: Mapping[str, Any]) -> str:
    """The curve as SVG."""
    drawn = []
    for number, line in enumerate(_lines(status)):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.points)
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{line.colour}" stroke-width="2"/>'
        )
        drawn.append(
            f'<text x="{_LEFT + _NAME * number}" y="20" fill="{line.colour}">{line.name}</text>'
        )
    for share in _SHARES:
        y = _height_of(share)
        drawn.append(f'<line x1="{_LEFT}" y1="{y}" x2="{_LEFT + _WIDTH}" y2="{y}" stroke="#ccc"/>')
        drawn.append(f'<text x="4" y="{y + 4}">{share}</text>')
    last = (
        f'<text x="{_LEFT + _WIDTH - 70}" y="{_TOP + _HEIGHT + 20}">epoch {status["epochs"]}</text>'
    )
    size = f"{_SIZE[0]} {_SIZE[1]}"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-size="12">'
    return "".join([svg, *drawn, last, "</svg>"])


def trainer_curve_png(status: Mapping[str, Any]) -> str:
    """The same curve as PNG, in base64: a template can hold no bytes."""
    picture = Image.new("RGB", _SIZE, "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for share in _SHARES:
        y = _height_of(share)
        draw.line([(_LEFT, y), (_LEFT + _WIDTH, y)], fill="#cccccc")
        draw.text((4, y), str(share), fill="black", font=font, anchor="lm")
    for number, line in enumerate(_lines(status)):
        draw.line(line.points, fill=line.colour, width=2)
        place = _LEFT + _NAME * number, 20
        draw.text(place, line.name, fill=line.colour, font=font, anchor="lm")
    end = _LEFT + _WIDTH, _TOP + _HEIGHT + 16
    draw.text(end, f"epoch {status['epochs']}", fill="black", font=font, anchor="rm")
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Any]:
        return {
            "trainer_status": trainer_status,
            "trainer_curve": trainer_curve,
            "trainer_curve_png": trainer_curve_png,
        }
