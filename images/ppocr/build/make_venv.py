"""Makes the image's Python environment. Runs in the Dockerfile's first stage, standard library only.

Reads beside itself: ``requirements.lock`` (with hashes), ``extra-requirements.txt`` (the operator's,
may be empty), ``ca-bundle.crt`` (of a proxy that re-signs TLS, may be empty), ``prune.txt`` (what the
packages bring and serving never opens). Index and proxies come from the environment as pip knows them.
"""

from __future__ import annotations

import ctypes.util
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
VENV = Path(sys.argv[1] if len(sys.argv) > 1 else "/opt/ppocr/venv")
#: Where folders of site-packages that have a layer of the image to themselves are put.
LAYERS = Path(sys.argv[2] if len(sys.argv) > 2 else "/opt/ppocr/layers")
#: Large and seldom renewed: a change of any other package must not send them again.
OWN_LAYER = ("nvidia", "paddle")
#: What the lock was made for.
PYTHON = (3, 11)
#: Installs the modules (hub install calls it), and is no part of the image.
TOOL = "pip"


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
        sys.exit(f"{name}: the image is for {platform.machine()}, paddlepaddle 2.6.2 for x86_64")
    if not ctypes.util.find_library("gomp"):
        sys.exit(f"{name}: the image lacks libgomp.so.1 (Debian's libgomp1), which paddle needs")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        sys.exit(f"{name}: the image lacks ensurepip (Debian's python3-venv)")


def pip(command: str, *arguments: str) -> None:
    environment = {
        key: value
        for key, value in os.environ.items()
        if value or not key.startswith("PIP_")  # build arguments that were not given
    }
    bundle = HERE / "ca-bundle.crt"
    if bundle.stat().st_size:
        environment["PIP_CERT"] = str(bundle)
    whole = [str(VENV / "bin/python"), "-m", "pip", command, "--quiet", *arguments]
    result = subprocess.run(whole, env=environment, check=False)
    if result.returncode:
        sys.exit(
            "pip failed (its message is above). Without a route to a package index set "
            "ppocr_pip_index_url, ppocr_proxy or, behind a proxy that re-signs TLS, ppocr_ca_bundle"
        )


def install() -> None:
    lock = str(HERE / "requirements.lock")
    # The one a new environment comes with is old; a lock that needs one names its own.
    pip("uninstall", "--yes", "setuptools")
    pip("install", "--require-hashes", "--no-deps", "--only-binary=:all:", "-r", lock)
    extra = HERE / "extra-requirements.txt"
    if extra.read_text().strip():
        pip("install", "-r", str(extra))


def site_packages() -> Path:
    return next(VENV.glob("lib/python3*/site-packages"))


def prune() -> None:
    for line in (HERE / "prune.txt").read_text().splitlines():
        pattern = line.partition("#")[0].strip()
        for path in site_packages().glob(pattern) if pattern else ():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def link_cuda() -> None:
    """Paddle and cuDNN ask for ``libcudnn.so`` and the like; the packages bring ``libcudnn.so.8``."""
    for library in site_packages().glob("nvidia/*/lib/*.so.*"):
        link = library.with_name(f"{library.name.partition('.so.')[0]}.so")
        if not link.exists():
            link.symlink_to(library.name)


def set_apart() -> None:
    """Move what gets a layer of its own (the CPU image has an empty nvidia/), and the tool."""
    tools = LAYERS / "tools"
    tools.mkdir(parents=True)
    for name in OWN_LAYER:
        folder = site_packages() / name
        if folder.is_dir():
            folder.rename(LAYERS / name)
        else:
            (LAYERS / name).mkdir()
    for path in (site_packages() / TOOL, *site_packages().glob(f"{TOOL}-*.dist-info")):
        path.rename(tools / path.name)
    for path in VENV.glob(f"bin/{TOOL}*"):
        path.unlink()


if __name__ == "__main__":
    check_base()
    venv.create(VENV, with_pip=True)
    install()
    prune()
    link_cuda()
    set_apart()
