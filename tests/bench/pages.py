"""Pages to measure with: few and many lines, small and large; drawn, so their text is known."""

from __future__ import annotations

import base64
import io
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

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


def make(kind: str, count: int) -> list[str]:
    """Base64 of ``count`` different pages of a kind, as PNG.

    Raises SystemExit when the font is missing.
    """
    if not _FONT.is_file():
        raise SystemExit(f"{_FONT} is missing: install fonts-wqy-microhei")
    shape = KINDS[kind]
    font = ImageFont.truetype(str(_FONT), shape.letters)
    pages = []
    for number in range(count):
        dice = random.Random(f"{kind} {number}")  # noqa: S311 - the same pages every time
        page = Image.new("RGB", (shape.width, shape.height), "white")
        draw = ImageDraw.Draw(page)
        step = (shape.height - 40) / shape.lines
        for line in range(shape.lines):
            text = f"{dice.choice(_LINES)}{dice.randrange(1000)}"
            draw.text((30 + dice.randrange(30), 20 + line * step), text, "black", font)
        buffer = io.BytesIO()
        page.save(buffer, "PNG")
        pages.append(base64.b64encode(buffer.getvalue()).decode())
    return pages
