"""Saves an image to a file that docker load takes, on this machine or any other.

Plain by default, byte for byte what docker save gives; with --compress gzip its layers are
compressed, which any engine loads as it is and which is less than half to carry.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from .. import command_line
from ..errors import OK, Refused
from ..layers import saved_image
from ..layers.store import LayerStore
from ..progress import Progress, megabytes

EPILOG = """\
examples:
  scripts/save_image.py ppocr:1.0.0 -o ppocr_1.0.0.tar
  scripts/save_image.py ppocr:1.0.0 -o ppocr_1.0.0.tar --compress gzip
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument("image", help="name of an image on this machine")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--compress", choices=["none", "gzip"], default="none", help="of the layers"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    command_line.add_store(parser)
    return parser.parse_args(arguments)


def work(args: Namespace) -> tuple[int, Any, str]:
    if args.output.exists() and not args.force:
        raise Refused(f"{args.output} is there already: --force overwrites it")
    progress = Progress("saving", quiet=args.quiet)
    try:
        if args.compress == "none":
            saved = saved_image.save_plain(args.image, args.output, progress)
        else:
            saved = saved_image.save_packed(
                args.image, args.output, LayerStore(args.store), progress
            )
    finally:
        progress.close()
    words = f"{args.output}: {megabytes(saved['size'])}, sha256 {saved['sha256']}"
    return OK, saved, words


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
