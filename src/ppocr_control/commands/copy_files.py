"""Copies files and folders to a host, from a host, or between hosts, over SSH.

Resumes an interrupted copy at the byte where it ended; verifies the sha256 of every file before it
gets its name; skips files that are already identical. A side without HOST: is this machine.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from .. import command_line
from ..errors import FAILED, OK
from ..progress import Progress, megabytes
from ..ssh import copying, login_options

EPILOG = """\
examples:
  scripts/copy_files.py ppocr_1.0.tar web1:/home/
  scripts/copy_files.py models/ ops@web1:/srv/models -P 2222
  scripts/copy_files.py web1:/home/ppocr_1.0.tar web2:/home/
A folder is copied with its contents, like scp -r: to DESTINATION if that does not exist, else into
it. Links are followed. Files that cannot be copied are reported, the rest is copied, and the exit
status is 1.
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="[[user@]host:]path")
    parser.add_argument("destination", metavar="DESTINATION", help="[[user@]host:]path")
    login_options.add_arguments(parser)
    parser.set_defaults(sudo="no")
    return parser.parse_args(arguments)


def work(args: Namespace) -> tuple[int, Any, str]:
    progress = Progress("copying", quiet=args.quiet)
    login = login_options.from_arguments(args)
    try:
        done = copying.copy(args.sources, args.destination, login, progress)
    finally:
        progress.close()
    summary = (
        f"{done['copied']} files copied ({megabytes(done['sent'])}), {done['same']} were the same"
    )
    if not done["failed"]:
        return OK, done, summary
    lines = "\n".join(f"not copied: {why}" for why in done["failed"])
    return FAILED, done, f"{lines}\nerror: {summary}, {len(done['failed'])} could not be copied"


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
