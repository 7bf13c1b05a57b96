"""Creates a folder with everything hosts without internet need: image, OS packages, this project.

playbooks/bundle.yml calls this after building the image. Run it on Debian or Ubuntu, as root.
"""

from __future__ import annotations

import json
import tarfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from .. import command_line
from ..bundle.make import BundleOptions, make
from ..errors import OK
from ..layers.store import LayerStore
from ..progress import Progress, megabytes
from ..tarfiles import without_owner_and_time

EPILOG = """\
examples:
  scripts/make_bundle.py --image ppocr:1.0.0 --out /srv/ppocr-bundle
  scripts/make_bundle.py --image ppocr:1.0.1 --out /srv/update --since /srv/bundle --sign ~/.ssh/key
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument(
        "--image", required=True, help="name of an image on this machine, or a saved one"
    )
    parser.add_argument("--tag", help="its name on hosts (default: the same)")
    parser.add_argument("--out", type=Path, required=True, help="folder to create")
    parser.add_argument("--release", action="append", help="such as debian-bookworm (repeatable)")
    parser.add_argument(
        "--package", action="append", default=[], help="an additional package (repeatable)"
    )
    parser.add_argument(
        "--debs",
        type=json.loads,
        default={},
        help='additional package files: {"debian-bookworm": ["vendor.deb"]}',
    )
    parser.add_argument(
        "--python", action="append", help="Python of control nodes (default: 3.11, repeatable)"
    )
    command_line.add_mirrors(parser)
    parser.add_argument("--since", type=Path, help="leave out files of this bundle (or manifest)")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="SSH private key to sign with")
    parser.add_argument("--tar", action="store_true", help="also write OUT.tar")
    command_line.add_store(parser)
    return parser.parse_args(arguments)


def work(args: Namespace) -> tuple[int, Any, str]:
    progress = Progress("bundling", quiet=args.quiet)
    options = BundleOptions(
        image=args.image, tag=args.tag or args.image, output=args.out.absolute(),
        releases=args.release or BundleOptions.releases, extra_packages=args.package,
        debs=args.debs,
        python_versions=args.python or BundleOptions.python_versions, apt_mirror=args.apt_mirror,
        pip_index_url=args.pip_index_url, since=args.since, signing_key=args.sign,
    )  # fmt: skip
    try:
        made = make(options, LayerStore(args.store), progress)
        if args.tar:
            with tarfile.open(args.out.with_name(f"{args.out.name}.tar"), "w") as tar:
                tar.add(args.out, args.out.name, filter=without_owner_and_time)
    finally:
        progress.close()
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    summary = f"{args.out}: {megabytes(size)}, {len(made['files'])} files"
    if args.sign:
        summary += ", signed"
    return OK, {"path": str(args.out), "size": size, "image": made["image"]}, summary


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
