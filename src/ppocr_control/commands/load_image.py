"""Loads a saved image into this machine's engine, after verifying its content.

A file that is truncated, altered or for another architecture is refused before the engine reads it.
An image the engine already has is not loaded again.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from .. import command_line
from ..errors import OK
from ..layers import saved_image
from ..progress import Progress

EPILOG = """\
examples:
  scripts/load_image.py ppocr_1.0.tar
  scripts/load_image.py ppocr_1.0.tar --sha256 0a1b...   the sum printed by save_image.py
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument("file", type=Path, help="a file from docker save or save_image.py")
    parser.add_argument("--sha256", help="required sha256 of the file")
    parser.add_argument("--tag", help="name of the image (default: those in the file)")
    return parser.parse_args(arguments)


def work(args: Namespace) -> tuple[int, Any, str]:
    progress = Progress("loading", quiet=args.quiet)
    try:
        loaded = saved_image.load(args.file, args.sha256, args.tag, progress)
    finally:
        progress.close()
    verb = "loaded" if loaded["changed"] else "is already loaded"
    return OK, loaded, f"{', '.join(loaded['tags']) or loaded['image_id']} {verb}"


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
