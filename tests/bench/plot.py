"""The bench as a picture: images a second by clients, one line a subject (SVG, no library)."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _TOP = 720, 360, 60, 30
_COLOURS = ("#0969da", "#54aeff", "#cf222e", "#bc4c00", "#1a7f37", "#8250df", "#1f2328")


def draw(result: dict[str, Any], path: Path) -> None:
    """Write the plot."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for key, cell in result["cells"].items():
        name, kind, clients = key.split("|")
        if kind == "page":
            lines.setdefault(name, []).append((int(clients), cell["rate"]))
    top = max(rate for points in lines.values() for _, rate in points) * 1.1
    clients = sorted({number for points in lines.values() for number, _ in points})

    def x(number: int) -> float:
        return _LEFT + clients.index(number) * (_WIDTH - _LEFT - 230) / max(1, len(clients) - 1)

    def y(rate: float) -> float:
        return _TOP + (1 - rate / top) * (_HEIGHT - _TOP - 50)

    about = result["machine"]
    title = f"Images a second, 960x720 pages of 10 lines, {about['cpus']} CPUs, {about['date']}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="18">{escape(title)}</text>',
    ]
    for tick in range(5):
        rate = top * tick / 4
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - 220}" y1="{y(rate):.0f}" y2="{y(rate):.0f}" '
            f'stroke="#ddd"/><text x="{_LEFT - 8}" y="{y(rate) + 4:.0f}" text-anchor="end">'
            f"{rate:.1f}</text>"
        )
    parts += [
        f'<text x="{x(number):.0f}" y="{_HEIGHT - 28}" text-anchor="middle">{number}</text>'
        for number in clients
    ]
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 8}">clients at once</text>')
    for index, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        path_points = " ".join(f"{x(number):.0f},{y(rate):.0f}" for number, rate in points)
        parts.append(
            f'<polyline points="{path_points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(
            f'<text x="{_WIDTH - 205}" y="{_TOP + 20 + index * 20}" fill="{colour}">'
            f"{escape(name)} {points[-1][1]:.2f}</text>"
        )
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")
