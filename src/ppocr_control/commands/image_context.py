"""Prints what an image would be made of as JSON, or writes its build context.

Used by the role ppocr_image. Both actions print one line of JSON: the hash of the sources, the base
image and the commit, and what the build is told.
"""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from ppocr_contract.models import ModelError

from .. import command_line
from ..errors import OK, Error
from ..images import context

EPILOG = """\
examples:
  scripts/image_context.py plan --settings '{"device": "cpu"}'
  scripts/image_context.py write --settings '{}' --out build/context.tar
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument("action", choices=["plan", "write"])
    parser.add_argument(
        "--settings", default="{}", help="JSON object: see src/ppocr_control/images/context.py"
    )
    parser.add_argument("--out", type=Path, help="with write: the tar archive to create")
    parser.add_argument(
        "--cache",
        type=Path,
        default=command_line.cache_folder(),
        help="folder of downloaded models (default: %(default)s)",
    )
    args = parser.parse_args(arguments)
    if args.action == "write" and args.out is None:
        parser.error("write needs --out")
    return args


def work(args: Namespace) -> tuple[int, Any, str]:
    try:
        settings = context.ImageSettings.from_dict(json.loads(args.settings))
        plan = {
            "content": context.content_hash(settings),
            "base": context.base_tag(settings),
            "base_suite": context.BASE_SUITE,
            "revision": context.revision(),
            "models": settings.model_names(),
            "paddle": context.paddle_label(settings),
            "kernels": context.kernels(settings),
        }
        if args.action == "write":
            args.out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=args.out.parent) as folder:
                context.write(settings, Path(folder) / "context", args.cache / "models")
                context.pack(Path(folder) / "context", args.out)
            plan["context"] = str(args.out)
    except (context.ContextError, ModelError, ValueError) as error:
        raise Error(str(error)) from error
    return OK, plan, json.dumps(plan)


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
