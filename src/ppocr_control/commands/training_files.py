"""Checks what a model is to be trained with, and packs it for the host that trains.

Used by the role trainer, which also gives what the run was begun with (begun). Prints the report as
JSON with --json: what is refused, what was accepted, and facts; with --pack also the files to send,
and their sha256.
"""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from PIL import Image

from ppocr_training import record
from ppocr_training.checks import examine
from ppocr_training.job import Job

from .. import command_line
from ..errors import FAILED, OK, Refused
from ..training import gather

EPILOG = """\
example:
  scripts/training_files.py --out build/training --settings '{"source": "/home/ops/PaddleOCR",
    "config": "configs/rec/PP-OCRv3/en_PP-OCRv3_rec.yml", "data": "/home/ops/data"}'
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument(
        "--settings",
        required=True,
        help="JSON: see src/ppocr_training/job.py and src/ppocr_control/training/gather.py",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for what is fetched")
    parser.add_argument("--pack", action="store_true", help="also write the archives to send")
    return parser.parse_args(arguments)


def _readable(picture: Path) -> bool:
    """Whether a picture can be decoded to its last line."""
    try:
        with Image.open(picture) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def work(args: Namespace) -> tuple[int, Any, str]:
    try:
        settings = json.loads(args.settings)
    except ValueError as error:
        raise Refused(f"--settings is no JSON: {error}") from error
    begun = settings.get("begun", {})
    if not settings.get("source_version"):
        # The default branch moves; a run goes on with the commit that it was begun with.
        settings["source_version"] = begun.get("commit", "")
    gathered = gather.gather(gather.Wanted.from_dict(settings), args.out)
    examined = examine(Job.from_dict(settings), gathered.places, _readable)
    files: dict[str, dict[str, str]] = {}
    if args.pack and not examined.refusals:
        files = gather.pack(gathered, args.out)
        settings["sums"] = {part: file["sha256"] for part, file in files.items()}
    examined.add(record.check(begun, settings))
    report = {**examined.as_dict(), "commit": gathered.commit, "files": files}
    lines = [*report["refused"], *(f"accepted: {line}" for line in report["accepted"])]
    summary = "\n".join(lines) or f"nothing to object to: {json.dumps(report['facts'])}"
    return (FAILED if report["refused"] else OK), report, summary


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
