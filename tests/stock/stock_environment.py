"""The throw-away environment with PaddlePaddle and PaddleOCR that the comparison runs in.

It is made once from requirements.lock below ${PPOCR_CACHE:-/var/cache/ppocr}, in a folder named
after the lock's hash, and takes about 1.1 GB. Packages come from wherever pip is configured to
look.

    python stock_environment.py        makes it if needed, and prints its Python
"""

from __future__ import annotations

import ctypes.util
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements.lock"
SAMPLES_DIR = HERE.parents[1] / "smoke_tests" / "samples"


def environment_dir(lock: Path = LOCK) -> Path:
    """Return the folder of the environment for a lock, made or not."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    return Path(os.environ.get("PPOCR_CACHE", "/var/cache/ppocr")) / f"stock-{digest}-py{version}"


def stock_python(lock: Path = LOCK) -> Path:
    """Return the environment's Python, after making the environment if it is not complete.

    Raises subprocess.CalledProcessError when pip fails; its output has been shown by then.
    """
    folder = environment_dir(lock)
    python, complete = folder / "bin" / "python", folder / ".complete"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not complete.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            print(f"making {folder} (one to two GB, once)", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            # The lock is complete, and without the extra OpenCV builds paddleocr asks for.
            subprocess.run(
                [
                    str(python),
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-deps",
                    "--no-cache-dir",
                    "--require-hashes",
                    "-r",
                    str(lock),
                ],
                check=True,
                stdout=sys.stderr,
            )
            complete.touch()
    return python


def stock_variables() -> dict[str, str]:
    """Return the environment variables for a process in the stock environment.

    libpaddle.so exports zlib's functions; in a Python that does not link zlib itself, OpenCV then
    crashes on PNG files. Loading the system's zlib first avoids that, and does no harm elsewhere.
    """
    variables = dict(os.environ)
    zlib = ctypes.util.find_library("z")
    if zlib:
        variables["LD_PRELOAD"] = " ".join(filter(None, [zlib, os.environ.get("LD_PRELOAD")]))
    # The services under test are on one's own network: no proxy on the way to them.
    variables["NO_PROXY"] = variables["no_proxy"] = "*"
    return variables


def pictures(folder: Path) -> list[Path]:
    """Return the picture files of a folder, by name.

    Raises SystemExit when there is none.
    """
    found = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".jpeg")
    )
    if not found:
        raise SystemExit(f"{folder} holds no pictures")
    return found


if __name__ == "__main__":
    print(stock_python())
