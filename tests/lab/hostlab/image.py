"""The images hosts start from: a root, and a layer with a Docker engine on top. Built once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from .engine import LabError, docker
from .root import BUILD_SECONDS, INIT, Root, machine_root

REPOSITORY = "ppocr-lab-host"
ENGINE_PACKAGES = {"bullseye": "docker.io", "bookworm": "docker.io"}
ENGINE_PACKAGES_SINCE_TRIXIE = "docker.io docker-cli"
# The policy keeps the package from starting its daemon in a container that is not a host yet.
INSTALL_ENGINE = """
set -eu
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -yqq --no-install-recommends \\
  -o Dpkg::Options::=--force-unsafe-io install {packages}
rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/* /var/cache/apt/*
"""
BUILDS_AT_ONCE = 2


def tag(suite: str, engine: bool) -> str:
    """``ppocr-lab-host:<suite>[-engine]-<hash of the recipe>``"""
    root = machine_root(suite).name
    if not engine:
        return f"{REPOSITORY}:{root}"
    recipe = f"{root} {_install_engine(suite)}"
    return f"{REPOSITORY}:{suite}-engine-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(kinds: Iterable[tuple[str, bool]]) -> None:
    """Build the images of (suite, with engine) that are missing, suites side by side.

    Raises LabError with the words of what failed.
    """
    missing = {kind for kind in kinds if not _exists(tag(*kind))}
    with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        list(pool.map(_ensure_root, sorted({suite for suite, _ in missing})))
        list(pool.map(_ensure_engine, sorted(suite for suite, engine in missing if engine)))


def _ensure_root(suite: str) -> None:
    _once(tag(suite, engine=False), lambda image: _import(machine_root(suite), image))


def _import(root: Root, image: str) -> None:
    tar = root.tar(_cache_folder())
    docker("import", "--change", f'CMD ["{INIT}"]', str(tar), image)


def _ensure_engine(suite: str) -> None:
    _once(tag(suite, engine=True), lambda image: _add_engine(suite, image))


def _add_engine(suite: str, image: str) -> None:
    container = f"{image.replace(':', '-')}-build"
    docker("rm", "--force", container, check=False)
    try:
        docker(
            "run", "--name", container, tag(suite, engine=False),
            "bash", "-c", _install_engine(suite), timeout=BUILD_SECONDS,
        )  # fmt: skip
        docker("commit", "--change", f'CMD ["{INIT}"]', container, image)
    finally:
        docker("rm", "--force", container, check=False)


def _install_engine(suite: str) -> str:
    packages = ENGINE_PACKAGES.get(suite, ENGINE_PACKAGES_SINCE_TRIXIE)
    return INSTALL_ENGINE.format(packages=packages)


def _once(image: str, build: Callable[[str], None]) -> None:
    """Build an image unless it is there, one builder at a time on this machine; say how long."""
    started = time.monotonic()
    with _locked(_cache_folder() / f"{image.partition(':')[2]}.lock"):
        if _exists(image):
            return
        build(image)
    print(f"lab: {image} made in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _exists(image: str) -> bool:
    return docker("image", "inspect", image, check=False).returncode == 0


def _cache_folder() -> Path:
    folder = Path(os.environ.get("PPOCR_CACHE", "/var/cache/ppocr")) / "lab"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"cannot keep host roots in {folder} ({error}); set PPOCR_CACHE") from None
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
