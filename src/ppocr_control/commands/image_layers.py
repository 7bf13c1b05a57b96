"""Says what an image is, and fills the store of compressed layers that hosts are served from.

Used by the role ppocr_image; by hand it prepares a shipment, for example over night:
  scripts/image_layers.py describe ppocr:1.0.0
  scripts/image_layers.py fill ppocr:1.0.0 --engines 20.10.24 26.1.5
  scripts/image_layers.py push ppocr:1.0.0 --registry registry.example:5000
  scripts/image_layers.py sizes ppocr:1.0.0                            what is large in an image
"""

from __future__ import annotations

from argparse import Namespace
from contextlib import nullcontext
from typing import Any

import docker

from .. import command_line
from ..docker_engine.engine import local_engine
from ..errors import OK, Refused
from ..images import image_name
from ..layers import codec
from ..layers.source import open_source
from ..layers.store import LayerStore
from ..progress import Progress, megabytes
from ..shipping import registry
from ..shipping.job import Supply


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("action", choices=["describe", "fill", "push", "sizes"])
    parser.add_argument("image", help="name of an image on this machine, or a saved one")
    parser.add_argument("--layers", nargs="*", help="diff IDs to prepare (default: all)")
    parser.add_argument("--registry", default="", help="push: where to, host[:port][/path]")
    parser.add_argument("--engines", nargs="*", default=[], help="versions of the hosts' engines")
    parser.add_argument(
        "--cache-limit", type=float, default=20, metavar="GB", help="of the store (default: 20)"
    )
    command_line.add_store(parser)
    return parser.parse_args(arguments)


def sizes(image: str) -> tuple[int, Any, str]:
    """The layers of an image of this machine's engine, lowest first, with their sizes in bytes."""
    client, image = local_engine(), image_name.to_find(image)
    try:
        history = client.api.history(image)
    except docker.errors.ImageNotFound as error:
        raise Refused(f"no image {image} on this machine") from error
    rows = [
        {"bytes": step["Size"], "step": dockerfile_step(step["CreatedBy"])}
        for step in reversed(history)
        if step["Size"]
    ]
    lines = [f"{megabytes(row['bytes']):>8}  {row['step']}" for row in rows]
    total = sum(row["bytes"] for row in rows)
    return OK, rows, "\n".join([*lines, f"{megabytes(total):>8}  {image}"])


def dockerfile_step(created_by: str) -> str:
    """The line of the Dockerfile behind a layer, as far as the engine kept it."""
    step = created_by.removeprefix("/bin/sh -c ").removeprefix("#(nop) ").strip()
    target = step.rpartition(" in ")[2].strip() if step.startswith("COPY") else ""
    return f"COPY to {target}" if target else " ".join(step.split())[:80] or "base"


def work(args: Namespace) -> tuple[int, Any, str]:
    if args.action == "sizes":
        return sizes(args.image)
    progress = Progress("compressing", quiet=args.quiet)
    store = LayerStore(args.store)
    chosen = codec.choose(args.engines)
    pushed = registry.Pushed("", {})
    try:
        with open_source(args.image) as source:
            image = source.image
            store.keep_config(image.config)
            if args.action == "fill":
                supply = Supply(image, store, lambda: nullcontext(source), progress, chosen)
                supply.ensure(args.layers or image.diff_ids)
                store.prune(int(args.cache_limit * 1e9))
            elif args.action == "push":
                pushed = registry.push(source, args.registry, progress)
    finally:
        progress.close()
    result = {
        "image_id": image.id,
        "architecture": image.architecture,
        "labels": image.labels,
        "tags": image.tags,
        "layers": image.diff_ids,
        "codec": chosen,
        "reference": pushed.reference,
        "sizes": pushed.sizes,
    }
    return OK, result, f"{image.id} for {image.architecture}, {len(image.diff_ids)} layers"


def main(arguments: list[str] | None = None) -> int:
    return command_line.run(parse(arguments), work)
