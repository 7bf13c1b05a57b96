"""Receipts, screenshots and photos, drawn, with the texts they hold."""

from __future__ import annotations

import dataclasses
import io
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from . import words


@dataclasses.dataclass(frozen=True)
class Scene:
    """A picture as a file, and its texts in no order."""

    kind: str
    texts: tuple[str, ...]
    picture: bytes


class _Canvas:
    """A picture that remembers what was written on it."""

    def __init__(self, size: tuple[int, int], paper: tuple[int, ...], font: Path) -> None:
        self.picture = Image.new("RGB", size, paper)
        self.draw = ImageDraw.Draw(self.picture)
        self.texts: list[str] = []
        self._font = str(font)

    def write(self, place: tuple[int, int], text: str, size: int, ink: tuple[int, ...]) -> None:
        font = ImageFont.truetype(self._font, size, layout_engine=ImageFont.Layout.BASIC)
        self.draw.text(place, text, ink, font)
        self.texts.append(text)

    def scene(self, kind: str, quality: int) -> Scene:
        data = io.BytesIO()
        self.picture.save(data, "JPEG", quality=quality)
        return Scene(kind, tuple(self.texts), data.getvalue())


def _some(dice: random.Random, *kinds: str) -> str:
    return words.KINDS[dice.choice(kinds)](dice)[:16].strip()


def _receipt(dice: random.Random, font: Path) -> Scene:
    """Thermal print, grey on grey, a little turned."""
    canvas = _Canvas((460, 760), (226, 224, 218), font)
    ink = (70, 70, 78)
    canvas.write((120, 30), _some(dice, "Chinese"), 28, ink)
    for row in range(4):
        canvas.write((30, 90 + row * 32), _some(dice, "mixed", "digits", "English"), 20, ink)
    for row in range(10):
        top = 240 + row * 40
        canvas.write((30, top), _some(dice, "Chinese", "English")[:9].strip(), 20, ink)
        canvas.write((260, top), f"x{dice.randrange(2, 20)}", 20, ink)
        canvas.write((340, top), f"{dice.randrange(9, 900)}.{dice.randrange(100):02}", 20, ink)
    canvas.write((30, 680), f"合计:{dice.randrange(10**4)}.{dice.randrange(100):02}", 28, ink)
    turned = canvas.picture.rotate(
        dice.uniform(-2, 2), Image.Resampling.BICUBIC, expand=True, fillcolor=(120, 96, 80)
    )
    canvas.picture = turned.filter(ImageFilter.GaussianBlur(0.7))
    return canvas.scene("receipt", 60)


def _screenshot(dice: random.Random, font: Path) -> Scene:
    """Small letters in a window, dark on light or light on dark."""
    paper, ink = dice.choice((((250, 250, 250), (40, 40, 40)), ((34, 36, 42), (216, 218, 222))))
    canvas = _Canvas((1100, 640), paper, font)
    canvas.draw.rectangle((0, 0, 1100, 44), (52, 98, 178))
    canvas.write((16, 10), _some(dice, "mixed"), 20, (255, 255, 255))
    for row in range(9):
        top = 70 + row * 60
        canvas.write((24, top), _some(dice, "Chinese", "English"), 17, ink)
        canvas.write((330, top), _some(dice, "English", "mixed"), 16, ink)
        canvas.write((760, top), _some(dice, "digits"), 16, ink)
    return canvas.scene("screenshot", 95)


def _photo(dice: random.Random, font: Path) -> Scene:
    """A board on a wall, seen from the side, out of focus, in uneven light."""
    width, height = 960, 640
    colour = tuple(dice.randint(20, 110) for _ in range(3))
    canvas = _Canvas((width, height), colour, font)
    for row in range(6):
        text = _some(dice, "Chinese", "English", "mixed", "digits")
        canvas.write((80 + dice.randrange(60), 60 + row * 92), text, 44, (236, 232, 220))
    lean = dice.uniform(0.03, 0.10)
    corners = (
        0, -height * lean, 0, height * (1 + lean), width, height * (1 + lean / 2), width, 0
    )  # fmt: skip
    seen = canvas.picture.transform(
        (width, height), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC, fillcolor=colour
    )
    light = Image.linear_gradient("L").resize((width, height)).rotate(dice.choice((0, 180)))
    shade = Image.blend(Image.new("L", (width, height), 255), light, 0.6)
    dark = Image.composite(seen, Image.new("RGB", (width, height)), shade)
    grain = Image.frombytes("L", (width, height), dice.randbytes(width * height)).convert("RGB")
    blurred = dark.filter(ImageFilter.GaussianBlur(1.2))
    canvas.picture = Image.blend(blurred, grain, 0.10)
    return canvas.scene("photo", 55)


_KINDS = (_receipt, _screenshot, _photo)


def draw(count: int, seed: int, font: Path) -> list[Scene]:
    """So many of each kind, the same for the same seed."""
    return [
        make(random.Random(f"{make.__name__} {seed} {number}"), font)  # noqa: S311
        for make in _KINDS
        for number in range(count)
    ]
