"""Draw the sample pictures, and write samples.json and image.json beside them.

Run it after changing SAMPLES below, then commit what it wrote:

    python -m smoke_tests.draw_samples [--out smoke_tests/samples] [--font FILE] [--latin-font FILE]

It needs a font with Chinese and one for Latin letters. Debian packages that bring them:
fonts-wqy-microhei (or fonts-noto-cjk) and fonts-dejavu-core. The same fonts and the same Pillow
give the same bytes; samples.json records both, and the sha256 of each picture.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import PIL
from PIL import Image, ImageDraw, ImageFont

SAMPLES_DIR = Path(__file__).parent / "samples"
FONT_DIRS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".fonts")
CHINESE_FONTS = ("wqy-microhei.ttc", "NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc")
LATIN_FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf")
# The sample whose request body is kept ready for curl.
IMAGE_JSON_SAMPLE = "mixed.jpg"

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Text:
    """One line to draw: top-left corner and font size in pixels."""

    x: int
    y: int
    text: str
    size: int = 32
    latin: bool = False


@dataclass(frozen=True)
class Sample:
    """One picture: its size in pixels, what is drawn on it and what a reader must answer."""

    file: str
    size: tuple[int, int]
    texts: tuple[Text, ...]
    tags: tuple[str, ...]
    ink: Colour = (20, 20, 20)
    paper: Colour = (255, 255, 255)
    min_confidence: float = 0.8
    # Turned anticlockwise by this many degrees after drawing (180 exercises the classifier).
    turn: float = 0
    # Lines in the order of the answer; empty means the order they were drawn in.
    answer: tuple[str, ...] = field(default=())
    # What the pipeline's parameters have to be for it to be read: see needs.py.
    needs: dict[str, Any] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the expected lines, in the order boxes are read: top to bottom, left to right."""
        return list(self.answer or (text.text for text in self.texts))


def rows(texts: list[str], x: int, y: int, step: int, size: int, latin: bool) -> tuple[Text, ...]:
    """Return lines below each other, ``step`` pixels apart."""
    return tuple(Text(x, y + i * step, text, size, latin) for i, text in enumerate(texts))


#: Of samples with a line that is read with a confidence of 0.94 to 0.98.
SURE = {"max": 0.9}


def page_lines() -> list[str]:
    """Return the twenty lines of the large page, Chinese and English in turn."""
    chinese = [
        "文字识别服务部署说明",
        "第一步检查目标主机的操作系统",
        "第二步安装容器引擎并启动服务",
        "第三步发送示例图片验证结果",
        "服务器内存建议不少于八千兆字节",
        "网络不可用时使用离线安装包",
        "模型文件需要校验完整性之后加载",
        "容器以普通用户身份运行更加安全",
        "日志文件按照大小自动轮转保存",
        "如有问题请联系系统管理员处理",
    ]
    english = [
        "Machine learning platform",
        "Address:192.168.10.25",
        "Package version 2.7.5 released",
        "Port:8866",
        "Checksum verified before loading",
        "Total:18650.75",
        "Inspection-Report",
        "Serial:20261122",
        "Every page has a number",
        "Made in China",
    ]
    return [line for pair in zip(chinese, english, strict=True) for line in pair]


def samples() -> list[Sample]:
    """Return every sample; texts are such that PP-OCRv4 mobile models read them exactly."""
    chinese = ["今天天气很好", "欢迎使用文字识别服务", "北京市海淀区中关村大街"]
    english = ["Welcome", "Acceptance", "Inspection-Report"]
    digits = ["2026-11-22", "13800138000", "3.14159265"]
    turned = ["倒置图片方向分类", "UPSIDE-DOWN", "编号20261122"]
    table = (
        Text(40, 40, "商品名称", 30),
        Text(300, 40, "数量", 30),
        Text(480, 40, "单价", 30),
        Text(40, 110, "打印纸张", 30),
        Text(300, 110, "25", 30),
        Text(480, 110, "38.50", 30),
        Text(40, 180, "黑色墨盒", 30),
        Text(300, 180, "12", 30),
        Text(480, 180, "126.00", 30),
    )
    mixed = ["型号PP-OCR中英文混合", "GPU服务器8台", "订单号SO20261122001"]
    page = tuple(
        Text(90, 60 + i * 55, line, 34, latin=i % 2 == 1) for i, line in enumerate(page_lines())
    )
    return [
        Sample(
            "chinese.png",
            (520, 240),
            rows(chinese, 40, 36, 66, 36, False),
            ("chinese", "det"),
            needs={"det_limit_side_len": {"min": 640}, "drop_score": SURE},
        ),
        Sample("english.png", (560, 240), rows(english, 40, 36, 66, 34, True), ("english",)),
        Sample("digits.png", (460, 240), rows(digits, 40, 36, 66, 34, True), ("digits",)),
        Sample("mixed.jpg", (560, 240), rows(mixed, 40, 36, 66, 34, False), ("mixed", "jpeg")),
        Sample(
            "rotated-180.png",
            (520, 240),
            rows(turned, 40, 36, 66, 36, False),
            ("rotated", "cls"),
            turn=180,
            answer=tuple(reversed(turned)),
            needs={
                "use_angle_cls": True,
                "use_doc_orientation_classify": False,  # its lines have the upright page's order
                "det_limit_side_len": {"min": 640},
                "drop_score": SURE,
            },
        ),
        Sample("table.png", (640, 260), table, ("order",)),
        Sample(
            "tilted.jpg",
            (640, 300),
            rows(["倾斜的文字也能识别", "Slightly tilted line"], 70, 90, 80, 36, False),
            ("tilted", "jpeg", "det"),
            turn=5,
            needs={"drop_score": SURE},
        ),
        Sample("small.png", (120, 40), (Text(12, 8, "小图片", 24),), ("small",)),
        Sample(
            "large.png",
            (1600, 1200),
            page,
            ("large",),
            # Scaled otherwise, one character of its first line is read as another.
            needs={
                "det_limit_side_len": {"min": 640, "max": 1120},
                "det_limit_type": "max",
                "det_db_box_thresh": {"max": 0.6},
                "drop_score": SURE,
            },
        ),
        Sample(
            "low-contrast.png",
            (520, 180),
            rows(["低对比度示例", "Faint grey print"], 40, 32, 66, 36, False),
            ("contrast",),
            ink=(165, 165, 165),
            paper=(215, 215, 215),
            min_confidence=0.7,
            needs={"det_limit_type": "max"},
        ),
        # One line filling the picture: what ocr_rec and ocr_cls are given.
        Sample("line.png", (300, 48), (Text(12, 5, "单行识别2026", 34),), ("line", "rec", "cls-0")),
        Sample(
            "line-180.png",
            (300, 48),
            (Text(12, 5, "单行识别2026", 34),),
            ("line", "cls-180"),
            turn=180,
            needs={"use_angle_cls": True},
        ),
        Sample("blank.png", (320, 200), (), ("blank", "det")),
    ]


def find_font(names: tuple[str, ...]) -> Path:
    """Return the first font file of these names found in FONT_DIRS.

    Raises SystemExit naming the packages to install when there is none.
    """
    for name in names:
        for folder in FONT_DIRS:
            found = sorted(folder.rglob(name)) if folder.is_dir() else []
            if found:
                return found[0]
    raise SystemExit(
        f"none of {', '.join(names)} found below {', '.join(map(str, FONT_DIRS))}; "
        "on Debian: apt-get install fonts-wqy-microhei fonts-dejavu-core, or name a file"
    )


def draw(sample: Sample, font: Path, latin_font: Path) -> bytes:
    """Return the picture file's bytes, PNG or JPEG after the sample's file name."""
    image = Image.new("RGB", sample.size, sample.paper)
    pen = ImageDraw.Draw(image)
    for text in sample.texts:
        # The basic layout engine gives the same glyph positions with and without libraqm.
        face = ImageFont.truetype(
            str(latin_font if text.latin else font),
            text.size,
            layout_engine=ImageFont.Layout.BASIC,
        )
        pen.text((text.x, text.y), text.text, font=face, fill=sample.ink)
    if sample.turn:
        image = image.rotate(sample.turn, resample=Image.Resampling.BICUBIC, fillcolor=sample.paper)
    out = io.BytesIO()
    if sample.file.endswith(".jpg"):
        image.save(out, "JPEG", quality=92, subsampling=0)
    else:
        # Few colours: a palette would change what is decoded, so plain grey or RGB is kept.
        image.convert("L").save(out, "PNG", optimize=True)
    return out.getvalue()


def sha256(data: bytes) -> str:
    """Return the hexadecimal sha256 of the bytes."""
    return hashlib.sha256(data).hexdigest()


def write_samples(out: Path, font: Path, latin_font: Path) -> list[str]:
    """Write pictures, samples.json and image.json to ``out``; return the file names written.

    Whatever else is there stays, pictures that are no longer drawn among it.
    """
    out.mkdir(parents=True, exist_ok=True)
    entries, bodies = [], {}
    for sample in samples():
        data = draw(sample, font, latin_font)
        bodies[sample.file] = data
        entries.append(
            {
                "file": sample.file,
                "tags": list(sample.tags),
                "lines": sample.lines(),
                "min_confidence": sample.min_confidence,
                **({"needs": sample.needs} if sample.needs else {}),
                "width": sample.size[0],
                "height": sample.size[1],
                "sha256": sha256(data),
            }
        )
    for name, data in bodies.items():
        (out / name).write_bytes(data)
    index = {
        "drawn_with": {
            "pillow": PIL.__version__,
            "fonts": {path.name: sha256(path.read_bytes()) for path in (font, latin_font)},
        },
        "samples": entries,
    }
    (out / "samples.json").write_text(
        json.dumps(index, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    body = {"images": [base64.b64encode(bodies[IMAGE_JSON_SAMPLE]).decode("ascii")]}
    (out / "image.json").write_text(json.dumps(body) + "\n", encoding="utf-8")
    return [*bodies, "samples.json", "image.json"]


def main(argv: list[str] | None = None) -> int:
    """Command line of ``python -m smoke_tests.draw_samples``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=SAMPLES_DIR, help="folder to write to")
    parser.add_argument("--font", type=Path, help="font file with Chinese (default: found)")
    parser.add_argument("--latin-font", type=Path, help="font file with Latin (default: found)")
    args = parser.parse_args(argv)
    font = args.font or find_font(CHINESE_FONTS)
    latin_font = args.latin_font or find_font(LATIN_FONTS)
    names = write_samples(args.out, font, latin_font)
    total = sum((args.out / name).stat().st_size for name in names)
    print(f"{len(names)} files, {total / 1024:.0f} KiB, in {args.out}")
    print(f"drawn with {font.name} and {latin_font.name}, Pillow {PIL.__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
