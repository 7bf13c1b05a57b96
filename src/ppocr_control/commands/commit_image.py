"""Creates an image from a running container like docker commit, with warnings.

Files in volumes and bind mounts are not included; passwords in the environment become part of the
image, readable for everybody. The command warns about both. The container's command, environment,
ports and user are kept.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from .. import command_line
from ..errors import OK
from ..images import commit
from ..progress import megabytes

EPILOG = """\
examples:
  scripts/commit_image.py ppocr ppocr:1.0.1
  scripts/commit_image.py ppocr ppocr:1.0.1 --message "dictionary replaced" --strict
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument("container", help="name or ID of a container on this machine")
    parser.add_argument("image", help="name:tag of the new image")
    parser.add_argument("-m", "--message", default="", help="message in the image's history")
    parser.add_argument("-a", "--author", default="", help="author in the image's history")
    parser.add_argument("--no-pause", action="store_true", help="do not pause the container")
    parser.add_argument(
        "--strict", action="store_true", help="refuse instead of warning about mounts and secrets"
    )
    return parser.parse_args(arguments)


def work(args: Namespace) -> tuple[int, Any, str]:
    made = commit.commit(
        args.container, args.image, args.message, args.author, not args.no_pause, args.strict
    )
    for warning in made["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    return OK, made, f"{args.image}: {made['image_id'][7:19]}, new layer {megabytes(made['added'])}"


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
