"""Makes the environment that converts models, where ``requirements.convert.lock`` names packages.

The lock in the build context is empty if no model needs converting: then nothing is downloaded.
"""

from __future__ import annotations

import sys
import venv
from pathlib import Path

from environment import HERE, check_base, pip

if __name__ == "__main__":
    target, lock = Path(sys.argv[1]), HERE / "requirements.convert.lock"
    if lock.stat().st_size:
        check_base()
        venv.create(target, with_pip=True)
        options = ("--require-hashes", "--no-deps", "--only-binary=:all:")
        pip(target, "install", *options, "-r", str(lock))
