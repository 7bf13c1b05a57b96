"""Python environments of the build: what the base must have, and pip with the build's settings.

Index and proxies come from the environment as pip knows them; ``ca-bundle.crt`` beside this file
(of a proxy that re-signs TLS) may be empty.
"""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
#: What the locks were made for.
PYTHON = (3, 11)


def check_base() -> None:
    """End with one sentence where this base image cannot carry the lock."""
    name = "ppocr_image_base"
    found = ".".join(map(str, sys.version_info[:2]))
    if sys.version_info[:2] != PYTHON:
        sys.exit(
            f"{name}: the image has Python {found}, the locked packages need 3.11 (the guide's "
            "paddle:2.3.2 image has 3.7): name an image with python3.11, or leave it empty"
        )
    if platform.machine() != "x86_64":
        sys.exit(f"{name}: the image is for {platform.machine()}, the locked packages for x86_64")
    if not ctypes.util.find_library("gomp"):
        sys.exit(f"{name}: the image lacks libgomp.so.1 (Debian's libgomp1), which Paddle needs")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        sys.exit(f"{name}: the image lacks ensurepip (Debian's python3-venv)")


def serves_on_cards() -> bool:
    """Whether this Python has an engine for GPUs, which uses the models as they are."""
    engines = ("onnxruntime-gpu", "paddlepaddle-gpu")
    return any(found for name in engines for found in metadata.distributions(name=name))


def prune(packages: Path) -> None:
    """Remove what ``prune.txt`` beside this file names from a folder of packages."""
    for line in (HERE / "prune.txt").read_text().splitlines():
        pattern = line.partition("#")[0].strip()
        for path in packages.glob(pattern) if pattern else ():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def pip(venv: Path, command: str, *arguments: str) -> None:
    """Run pip in an environment; end the build with one sentence where it fails."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if value or not key.startswith("PIP_")  # build arguments that were not given
    }
    bundle = HERE / "ca-bundle.crt"
    if bundle.stat().st_size:
        environment["PIP_CERT"] = str(bundle)
    whole = [str(venv / "bin/python"), "-m", "pip", command, "--quiet", *arguments]
    result = subprocess.run(whole, env=environment, check=False)
    if result.returncode:
        sys.exit(
            "pip failed (its message is above). Without a route to a package index set "
            "ppocr_pip_index_url, ppocr_proxy or, behind a proxy that re-signs TLS, ppocr_ca_bundle"
        )
