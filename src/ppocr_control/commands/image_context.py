"""Says what an image would be made of, and lays its build context out.

Used by the role ppocr_image; by hand:
  scripts/image_context.py plan --settings '{"device": "cpu"}'
  scripts/image_context.py write --settings '{}' --out build/context.tar
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from ..images import context
from ..images.models import ModelError


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["plan", "write"])
    parser.add_argument(
        "--settings", default="{}", help="JSON object: see src/ppocr_control/images/context.py"
    )
    parser.add_argument("--out", type=Path, help="with write: the tar archive to make")
    cache = Path(os.environ.get("PPOCR_CACHE", Path.home() / ".cache/ppocr"))
    parser.add_argument("--cache", type=Path, default=cache, help="where fetched models are kept")
    args = parser.parse_args()
    if args.action == "write" and args.out is None:
        parser.error("write needs --out")
    return args


def main() -> int:
    args = _parse()
    try:
        settings = context.ImageSettings.from_dict(json.loads(args.settings))
        plan = {
            "content": context.content_hash(settings),
            "base": context.base_tag(settings),
            "base_suite": context.BASE_SUITE,
            "revision": context.revision(),
        }
        if args.action == "write":
            args.out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=args.out.parent) as folder:
                context.write(settings, Path(folder) / "context", args.cache / "models")
                context.pack(Path(folder) / "context", args.out)
            plan["context"] = str(args.out)
    except (context.ContextError, ModelError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(plan))
    return 0
