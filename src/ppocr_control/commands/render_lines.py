"""Draws labelled lines of text from a word list, as PaddleOCR's recognisers are trained with.

Writes train.txt, val.txt (held-back lines) and their pictures, and dict.txt with the characters of
the labels. Drawn alone they make a model forget what it could read, so mix them with lines of a
general set (--general, by default one for each that is drawn). The same seed draws the same lines.
"""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

from .. import command_line
from ..errors import OK, Refused
from ..progress import Progress
from ..training import render

EPILOG = """\
examples:
  scripts/render_lines.py --words words.txt --count 5000 --out data
  scripts/render_lines.py --words words.txt --out data --general general/train.txt --ratio 1
  scripts/render_lines.py --words words.txt --out data --fonts /usr/share/fonts/opentype/noto
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument("--words", type=Path, required=True, help="text file, a label a line")
    parser.add_argument("--out", type=Path, required=True, help="folder to create")
    parser.add_argument(
        "--count", type=int, default=1000, help="lines to train with (default: %(default)s)"
    )
    parser.add_argument(
        "--held-back", type=int, help="lines to measure with (default: a fifth of --count)"
    )
    parser.add_argument(
        "--fonts",
        type=Path,
        nargs="+",
        default=[],
        help="font files or folders (default: the system's)",
    )
    parser.add_argument(
        "--height", type=int, default=48, help="pixels of a line (default: %(default)s)"
    )
    parser.add_argument(
        "--degrade",
        type=float,
        default=0.3,
        help="0 as printed, 1 as badly photographed (default: %(default)s)",
    )
    parser.add_argument("--general", type=Path, help="label file of a general set to mix in")
    parser.add_argument(
        "--ratio",
        type=float,
        default=1.0,
        help="general lines for one that is drawn (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    return parser.parse_args(arguments)


def _words(file: Path) -> list[str]:
    try:
        words = [line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"--words {file}: {error}") from error
    if not words:
        raise Refused(f"--words {file} has no words: write one label a line")
    if tabbed := next((word for word in words if "\t" in word), None):
        raise Refused(
            f"--words {file}: {tabbed!r} has a tab, at which PaddleOCR's tools end a label: write "
            "one label a line, and nothing else"
        )
    return words


def work(args: Namespace) -> tuple[int, Any, str]:
    if args.out.exists():
        raise Refused(f"--out {args.out} is there already: name a new folder")
    words, held = _words(args.words), args.count // 5 if args.held_back is None else args.held_back
    if min(args.count, args.height) < 1 or min(held, args.ratio) < 0 or not 0 <= args.degrade <= 1:
        raise Refused(
            "--count and --height are at least 1, --degrade is between 0 and 1, --held-back and "
            "--ratio are not negative"
        )
    drawing = render.Drawing(render.find_fonts(args.fonts), args.height, args.degrade, args.seed)
    part = args.out.with_name(f"{args.out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    progress = Progress("drawing", quiet=args.quiet)
    try:
        labels = render.render(words, args.count + held, drawing, part, progress)
        train, validation = labels[: args.count], labels[args.count :]
        mixed = (
            render.mix(train, render.General(args.general, args.ratio), args.seed, part)
            if args.general
            else []
        )
    finally:
        progress.close()
    found = list(render.characters([*labels, *mixed]))
    for name, lines in (
        ("train.txt", [*train, *mixed]), ("val.txt", validation), ("dict.txt", found)
    ):  # fmt: skip
        (part / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    part.rename(args.out)
    result = {
        "drawn": len(train), "held_back": held, "general": len(mixed),
        "characters": len(found), "fonts": len(drawing.fonts),
    }  # fmt: skip
    summary = (
        f"{args.out}: {len(train)} lines drawn, {len(mixed)} of a general set, {held} held back, "
        f"{len(found)} characters"
    )
    return OK, result, summary


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
