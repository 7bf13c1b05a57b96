"""Draws labelled lines of text for training, and mixes them with lines of a general set."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ..errors import Refused
from ..progress import Progress

#: Where distributions keep fonts.
FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
_FONT_SUFFIXES = {".ttf", ".ttc", ".otf"}
#: How often progress is reported.
_TOLD = 10
#: How often a line is drawn anew because it became like another.
_TRIES = 20
#: No font has a glyph for it: what is drawn for it is what a font draws for characters it lacks.
_NOBODYS = "\U0010ffff"


@dataclasses.dataclass(frozen=True)
class Drawing:
    """How lines are drawn.

    Attributes:
        fonts: font files.
        height: of a picture, in pixels.
        degrade: from 0 (as printed) to 1 (a bad photograph).
        seed: the same seed draws the same lines.
    """

    fonts: tuple[Path, ...]
    height: int = 48
    degrade: float = 0.3
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class General:
    """Lines of a general set that are mixed in.

    Attributes:
        labels: label file; pictures' paths begin in its folder.
        ratio: general lines for one that is drawn; 1 is what PaddleOCR's maintainers advise against
            forgetting.
    """

    labels: Path
    ratio: float = 1.0


def find_fonts(given: Sequence[Path]) -> tuple[Path, ...]:
    """Font files among files and folders; with none given, those of the system.

    What cannot be drawn with is left out in folders; a file that was named is refused later.

    Raises:
        Refused: there is none.
    """
    found = [
        path
        for place in given or FONT_FOLDERS
        for path in ([place] if place.is_file() else sorted(place.rglob("*")))
        if path.suffix.lower() in _FONT_SUFFIXES and (path == place or _can_be_drawn(path))
    ]
    if not found:
        raise Refused(
            f"no fonts in {', '.join(map(str, given or FONT_FOLDERS))}: name files or folders with "
            "--fonts, or install some (Debian: fonts-noto-cjk, fonts-wqy-zenhei, fonts-dejavu)"
        )
    return tuple(found)


def render(
    words: Sequence[str], count: int, drawing: Drawing, folder: Path, progress: Progress
) -> list[str]:
    """Draw lines into ``folder``/drawn and return their label lines.

    Raises:
        Refused: no font has the characters of a word.
    """
    usable = {word: [f for f in drawing.fonts if _has(f, word)] for word in dict.fromkeys(words)}
    for word, fonts in usable.items():
        if not fonts:
            raise Refused(
                f"none of {len(drawing.fonts)} fonts has all characters of {word!r}: name one that "
                "does with --fonts, or take the word out"
            )
    (folder / "drawn").mkdir(parents=True)
    labels = []
    drawn: set[bytes] = set()
    for number in range(count):
        chance = random.Random(f"{drawing.seed}/{number}")  # noqa: S311 - reproducible, not secret
        # The same picture in training and validation would be refused; without wear there are few.
        for _ in range(_TRIES):
            word = chance.choice(words)
            picture = _line(word, chance.choice(usable[word]), drawing, chance)
            data = _jpeg(picture, drawing, chance)
            if (digest := hashlib.sha256(data).digest()) not in drawn:
                break
        drawn.add(digest)
        name = f"drawn/{number:06d}.jpg"
        (folder / name).write_bytes(data)
        labels.append(f"{name}\t{word}")
        if (number + 1) % max(count // _TOLD, 1) == 0:
            progress.say(f"{number + 1} of {count} lines are drawn")
    return labels


def mix(labels: Sequence[str], general: General, seed: int, folder: Path) -> list[str]:
    """Copy lines of a general set beside drawn ones; return their label lines.

    Fewer than asked for come back where the set has no more.

    Raises:
        Refused: the label file cannot be read.
    """
    try:
        lines = [line for line in general.labels.read_text("utf-8").split("\n") if "\t" in line]
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"--general {general.labels}: {error}") from error
    chance = random.Random(f"{seed}/general")  # noqa: S311
    chosen = chance.sample(lines, min(len(lines), round(len(labels) * general.ratio)))
    (folder / "general").mkdir(parents=True)
    mixed = []
    for number, line in enumerate(chosen):
        picture, _, text = line.partition("\t")
        source = general.labels.parent / picture
        name = f"general/{number:06d}{source.suffix}"
        try:
            shutil.copyfile(source, folder / name)
        except OSError as error:
            raise Refused(f"--general {general.labels}: {error}") from error
        mixed.append(f"{name}\t{text}")
    return mixed


def characters(labels: Sequence[str]) -> Iterator[str]:
    """Every character of the labels once, in order; a blank is what use_space_char adds."""
    yield from sorted({sign for line in labels for sign in line.partition("\t")[2]} - {" "})


@functools.lru_cache(maxsize=256)
def _font(file: Path, size: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise Refused(f"--fonts: {file} is no font: {error}") from error


def _can_be_drawn(file: Path) -> bool:
    """Whether a font has outlines; those of colour emoji are pictures of one size."""
    try:
        _font(file, 24)
    except Refused:
        return False
    return True


@functools.cache
def _drawn(file: Path, character: str) -> bytes:
    return bytes(_font(file, 24).getmask(character))


def _has(file: Path, word: str) -> bool:
    """Whether a font has glyphs of its own for all characters of a word."""
    lacking = _drawn(file, _NOBODYS)
    return all(sign.isspace() or _drawn(file, sign) != lacking for sign in word)


def _line(word: str, file: Path, drawing: Drawing, chance: random.Random) -> Image.Image:
    """One line, black on white or the other way round, a little out of place."""
    height, strength = drawing.height, drawing.degrade
    font = _font(file, round(height * chance.uniform(0.62 - 0.1 * strength, 0.62)))
    left, top, right, bottom = font.getbbox(word)
    margin = round(height * chance.uniform(0.1, 0.2))
    width = round(right - left) + 2 * margin
    paper, ink = chance.randint(235, 255), chance.randint(0, round(20 + 80 * strength))
    if chance.random() < 0.1 * strength:
        paper, ink = ink, paper
    picture = Image.new("L", (width, height), paper)
    middle = (height - (bottom - top)) / 2 + height * 0.05 * strength * chance.uniform(-1, 1)
    ImageDraw.Draw(picture).text((margin - left, middle - top), word, fill=ink, font=font)
    angle = 2 * strength * chance.uniform(-1, 1)
    turned = picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=paper)
    if chance.random() < strength:
        turned = turned.filter(ImageFilter.GaussianBlur(chance.uniform(0, 1.5 * strength)))
    return _noisy(turned, 20 * strength * chance.random(), chance)


def _noisy(picture: Image.Image, sigma: float, chance: random.Random) -> Image.Image:
    """Grain, from few random numbers: Pillow's own noise takes no seed."""
    if sigma < 1:
        return picture
    small = Image.frombytes("L", (64, 64), chance.randbytes(64 * 64))
    grain = Image.new("L", picture.size)
    for x in range(0, picture.width, 64):
        grain.paste(small.rotate(chance.choice((0, 90, 180, 270))), (x, 0))
    return Image.blend(picture, grain, min(sigma / 128, 0.25))


def _jpeg(picture: Image.Image, drawing: Drawing, chance: random.Random) -> bytes:
    data = io.BytesIO()
    quality = round(95 - 60 * drawing.degrade * chance.random())
    picture.convert("RGB").save(data, "JPEG", quality=quality)
    return data.getvalue()
