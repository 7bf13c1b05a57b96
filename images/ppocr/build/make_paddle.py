"""Installs Paddle, and what only Paddle needs, into a folder: ``make_paddle.py FOLDER``.

Only where ``requirements.paddle.lock`` beside this file names packages, which is for the variant
with Paddle: it is a layer of that image, beside packages that both have. Standard library only.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import venv
from pathlib import Path

from environment import HERE, check_base, pip, prune


def main(target: Path) -> None:
    target.mkdir(parents=True)
    lock = HERE / "requirements.paddle.lock"
    if not lock.stat().st_size:
        return
    check_base()
    options = ("--require-hashes", "--no-deps", "--only-binary=:all:", f"--target={target}")
    with tempfile.TemporaryDirectory() as tool:
        venv.create(tool, with_pip=True)
        pip(Path(tool), "install", *options, "-r", str(lock))
    shutil.rmtree(target / "bin", ignore_errors=True)  # commands that nobody calls
    prune(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
