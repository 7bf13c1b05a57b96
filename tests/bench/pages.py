"""Pages to measure with: few and many lines, small and large; drawn, so their text is known."""

from __future__ import annotations

import base64
import io
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from .scenes import Scene

#: Different pages of a kind.
_PAGES = 24
_FONT = Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc")
_LINES = (
    "深圳市南山区科技园南区综合楼三层",
    "Invoice No. 2026-11-22 0038",
    "合计金额壹万贰仟叁佰元整",
    "北京市海淀区中关村大街27号",
    "产品名称 数量 单价 金额",
    "The quick brown fox jumps over it",
    "联系电话0755-86013388",
    "开户银行中国工商银行深圳分行",
    "检验合格准予出厂2026年11月",
    "请于三十日内付清货款",
)


@dataclass(frozen=True)
class Kind:
    """Size in pixels, number of lines, size of letters."""

    width: int
    height: int
    lines: int
    letters: int


KINDS = {
    "page": Kind(960, 720, 10, 28),  # the one the targets are about
    "few": Kind(640, 480, 2, 32),
    "many": Kind(1240, 1754, 40, 26),
    "large": Kind(2480, 3508, 20, 60),
}


def _draw(kind: str, number: int) -> tuple[Image.Image, list[str]]:
    """A page and its lines; the same ones every time."""
    if not _FONT.is_file():
        raise SystemExit(f"{_FONT} is missing: install fonts-wqy-microhei")
    shape = KINDS[kind]
    font = ImageFont.truetype(str(_FONT), shape.letters)
    dice = random.Random(f"{kind} {number}")  # noqa: S311
    page = Image.new("RGB", (shape.width, shape.height), "white")
    draw = ImageDraw.Draw(page)
    step = (shape.height - 40) / shape.lines
    lines = []
    for line in range(shape.lines):
        lines.append(f"{dice.choice(_LINES)}{dice.randrange(1000)}")
        draw.text((30 + dice.randrange(30), 20 + line * step), lines[-1], "black", font)
    return page, lines


def _encoded(page: Image.Image, form: str = "PNG", **options: int) -> str:
    buffer = io.BytesIO()
    page.save(buffer, form, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def make(kind: str, count: int = _PAGES) -> list[str]:
    """Base64 of ``count`` different pages of a kind, as PNG.

    Raises SystemExit when the font is missing.
    """
    return [_encoded(_draw(kind, number)[0]) for number in range(count)]


def scene(kind: str, number: int) -> Scene:
    """One of the pages of :func:`make`, with its texts."""
    page, texts = _draw(kind, number)
    return Scene(kind, tuple(texts), base64.b64decode(_encoded(page)))


def characters(kind: str) -> float:
    """How many a page of :func:`make` has, on average."""
    drawn = [_draw(kind, number)[1] for number in range(_PAGES)]
    return sum(len(line) for lines in drawn for line in lines) / len(drawn)


def hard(count: int) -> list[tuple[str, list[str]]]:
    """Base64 and lines of pages as scanners and cameras give them.

    In turn clean, blurred, noisy, of half the resolution, and JPEG of low quality.
    """
    made = []
    for number in range(count):
        page, lines = _draw("page", 1000 + number)
        damage = number % 5
        if damage == 1:
            page = page.filter(ImageFilter.GaussianBlur(1.6))
        elif damage == 2:
            noise = Image.effect_noise(page.size, 60).convert("RGB")
            page = Image.blend(page, noise, 0.3)
        elif damage == 3:
            half = page.resize((page.width // 2, page.height // 2))
            page = half.resize(page.size)
        made.append((_encoded(page, "JPEG", quality=12 if damage == 4 else 95), lines))
    return made
