"""Builds an image on this machine, from packages and hash-pinned models, without a registry.

playbooks/build.yml does the same on the builder of the inventory, with the inventory's settings. An
image whose sources have not changed is not rebuilt.
"""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from ppocr_contract.models import ModelError

from .. import command_line, version
from ..errors import OK, Refused
from ..images import build, context, image_name
from ..progress import Progress, megabytes

EPILOG = """\
examples:
  scripts/build_image.py                             ppocr:1.0.0
  scripts/build_image.py --device gpu --tag ppocr:1.0.0-gpu
  scripts/build_image.py --paddle --tag ppocr:1.0.0-paddle
  scripts/build_image.py --tag ppocr:1.0.1 --ca-bundle /etc/ssl/certs/ca-certificates.crt
  scripts/build_image.py --recipe trainer --tag ppocr-trainer:1.0.0
  scripts/build_image.py --settings '{"models": {"rec": {"path": "/models/rec"}}}'
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument(
        "--tag", default=f"ppocr:{version.current()}", help="name:version (default: %(default)s)"
    )
    parser.add_argument(
        "--recipe",
        choices=["ppocr", "trainer"],
        default="ppocr",
        help="the service's image, or the trainer's",
    )
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument(
        "--paddle",
        action="store_true",
        help="with Paddle: for plain hub serving, the engine paddle and modules made on Paddle "
        "(the image for GPUs has its own)",
    )
    parser.add_argument("--base", default="", help="base image (default: built from packages)")
    parser.add_argument("--ca-bundle", default="", help="PEM file trusted during the build")
    command_line.add_mirrors(parser)
    parser.add_argument(
        "--settings", default="{}", help="JSON: see src/ppocr_control/images/context.py"
    )
    parser.add_argument("--force", action="store_true", help="build even if nothing changed")
    return parser.parse_args(arguments)


def work(args: Namespace) -> tuple[int, Any, str]:
    progress = Progress("building", quiet=args.quiet)
    name, tag = image_name.for_new(args.tag)
    values = {
        "recipe": args.recipe,
        "device": args.device,
        "paddle": args.paddle,
        "name": name,
        "version": tag,
        "base": args.base and image_name.to_find(args.base),
    }
    try:
        given = json.loads(args.settings)
        settings = context.ImageSettings.from_dict({**values, "ca_bundle": args.ca_bundle, **given})
        sources = build.Sources(args.pip_index_url, args.apt_mirror)
        made = build.build(
            args.tag, settings, sources, command_line.cache_folder(), progress, args.force
        )
    except (context.ContextError, ModelError, ValueError) as error:
        raise Refused(str(error)) from error
    finally:
        progress.close()
    verb = f"built, {megabytes(made['size'])}" if made["changed"] else "is up to date"
    return OK, made, f"{args.tag} {verb}"


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
