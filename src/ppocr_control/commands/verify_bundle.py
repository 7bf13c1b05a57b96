"""Verifies a bundle: every file's sha256, nothing missing or added, and its signature.

With --complete, combines an incremental bundle with the one it builds on.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from .. import command_line
from ..bundle import incremental, manifest
from ..errors import OK, Refused
from ..progress import Progress

_RESULT_KEYS = ("version", "created", "architecture", "image", "releases")
EPILOG = """\
examples:
  scripts/verify_bundle.py /srv/ppocr-bundle --public-key release.pub
  scripts/verify_bundle.py /srv/update --complete /srv/ppocr-bundle --out /srv/ppocr-bundle-1.0.1
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--public-key", type=Path, help="SSH public key of the required signature")
    parser.add_argument("--complete", type=Path, metavar="OLD", help="the bundle it builds on")
    parser.add_argument("--out", type=Path, help="with --complete: the folder to create")
    args = parser.parse_args(arguments)
    if bool(args.complete) != bool(args.out):
        parser.error("--complete and --out go together")
    return args


def work(args: Namespace) -> tuple[int, Any, str]:
    progress = Progress("checking", quiet=args.quiet)
    try:
        described, notes = manifest.check(args.bundle, args.public_key, progress)
        if args.complete:
            incremental.complete(args.bundle, args.complete, args.out, progress)
        elif manifest.is_incremental(args.bundle, described):
            absent = len(described["since"]["absent"])
            made = described["since"]["created"]
            notes.append(f"incremental: {absent} files are in the bundle of {made}")
    except OSError as error:
        raise Refused(f"{error.filename or args.bundle}: {error.strerror}") from error
    finally:
        progress.close()
    result = {
        "bundle": str(args.out or args.bundle),
        "incremental": manifest.is_incremental(args.out or args.bundle, described),
        "notes": notes,
        **{key: described[key] for key in _RESULT_KEYS},
    }
    signed = ", signature good" if args.public_key else ""
    summary = f"{result['bundle']}: {len(described['files'])} files as they should be{signed}"
    return OK, result, "\n".join([summary, *(f"note: {note}" for note in notes)])


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
