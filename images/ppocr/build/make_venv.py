"""Makes the image's Python environment, in the Dockerfile's stage python. Standard library only.

Reads beside itself: ``requirements.lock`` (with hashes), ``extra-requirements.txt`` (the
operator's, may be empty), ``prune.txt`` (what the packages bring and serving never opens).
"""

from __future__ import annotations

import sys
import venv
from pathlib import Path

from environment import HERE, check_base, pip, prune

VENV = Path(sys.argv[1] if len(sys.argv) > 1 else "/opt/ppocr/venv")
#: Where what has a layer of the image to itself is put.
LAYERS = Path(sys.argv[2] if len(sys.argv) > 2 else "/opt/ppocr/layers")
#: Layers, and the folders of site-packages each has: large and seldom renewed. A change of any
#: other package must not send them again, and loading takes the room of the largest layer.
OWN_LAYER = {
    "nvidia": ("nvidia",),
    "onnxruntime": ("onnxruntime",),
    "paddle": ("paddle",),
    "opencv": ("cv2", "opencv*.libs"),
    "openvino": ("openvino",),
}
#: Installs the modules (hub install calls it), and is no part of the image.
TOOL = "pip"


def install() -> None:
    lock = str(HERE / "requirements.lock")
    # The one a new environment comes with is old; a lock that needs one names its own.
    pip(VENV, "uninstall", "--yes", "setuptools")
    pip(VENV, "install", "--require-hashes", "--no-deps", "--only-binary=:all:", "-r", lock)
    extra = HERE / "extra-requirements.txt"
    if extra.read_text().strip():
        pip(VENV, "install", "-r", str(extra))


def site_packages() -> Path:
    return next(VENV.glob("lib/python3*/site-packages"))


def link_cuda() -> None:
    """Paddle and cuDNN load ``libcudnn.so`` and the like; the packages' names have a version."""
    for library in site_packages().glob("nvidia/*/lib/*.so.*"):
        link = library.with_name(f"{library.name.partition('.so.')[0]}.so")
        if not link.exists():
            link.symlink_to(library.name)


def set_apart() -> None:
    """Move what gets a layer of its own, and the tool.

    Where a package is not there its layer is empty: an empty folder of its name could be imported.
    """
    tools = LAYERS / "tools"
    tools.mkdir(parents=True)
    for name, patterns in OWN_LAYER.items():
        (LAYERS / name).mkdir()
        for pattern in patterns:
            for folder in site_packages().glob(pattern):
                folder.rename(LAYERS / name / folder.name)
    for path in (site_packages() / TOOL, *site_packages().glob(f"{TOOL}-*.dist-info")):
        path.rename(tools / path.name)
    for path in VENV.glob(f"bin/{TOOL}*"):
        path.unlink()


if __name__ == "__main__":
    check_base()
    venv.create(VENV, with_pip=True)
    install()
    prune(site_packages())
    link_cuda()
    set_apart()
