"""The image of a lab host: a Debian root made by mmdebstrap, built once for each recipe."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .engine import LabError, docker

REPOSITORY = "ppocr-lab-host"
MACHINE_CAS = Path("/etc/ssl/certs/ca-certificates.crt")
IN_ROOT = Path(__file__).parent / "in_root"

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "python3", "iproute2",
    "iptables", "ca-certificates", "tzdata", "procps",
)  # fmt: skip
ENGINE_PACKAGES = {"bullseye": ("docker.io",), "bookworm": ("docker.io",)}
ENGINE_PACKAGES_SINCE_TRIXIE = ("docker.io", "docker-cli")
# These would change the one kernel that all hosts share with this machine.
MASKED_UNITS = ("systemd-modules-load.service", "systemd-sysctl.service")
# Nobody reads manuals in the lab, and every MB is imported again on a fresh machine.
DPKG_OPTIONS = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)
BUILD_SECONDS = 900
BUILDS_AT_ONCE = 2


@dataclass(frozen=True)
class Recipe:
    """All that decides what is in the image."""

    suite: str
    engine: bool
    mirror: str = ""  # the distribution's own where empty
    apt_options: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        engine = ENGINE_PACKAGES.get(self.suite, ENGINE_PACKAGES_SINCE_TRIXIE)
        return PACKAGES + (engine if self.engine else ())

    @property
    def tag(self) -> str:
        """``ppocr-lab-host:<suite>[-engine]-<hash of the recipe>``"""
        files = [path for path in (*sorted(IN_ROOT.iterdir()), MACHINE_CAS) if path.is_file()]
        recipe = json.dumps([
            self.packages, self.mirror, self.apt_options, MASKED_UNITS, DPKG_OPTIONS,
            [hashlib.sha256(path.read_bytes()).hexdigest() for path in files],
        ])  # fmt: skip
        kind = f"{self.suite}-engine" if self.engine else self.suite
        return f"{REPOSITORY}:{kind}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"

    def command(self, tar: Path) -> list[str]:
        """The mmdebstrap call that writes the root to ``tar``."""
        command = [
            "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(self.packages)}",
            *(f"--aptopt={option}" for option in self.apt_options),
            *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
            f"--customize-hook=upload {IN_ROOT / 'lab-init'} /usr/local/sbin/lab-init",
            '--customize-hook=chmod 0755 "$1/usr/local/sbin/lab-init"',
            f'--customize-hook=systemctl --root="$1" mask {" ".join(MASKED_UNITS)}',
        ]  # fmt: skip
        if MACHINE_CAS.is_file():
            command += [
                f"--customize-hook=upload {MACHINE_CAS} /tmp/machine-cas.pem",
                f"--customize-hook=upload {IN_ROOT / 'trust_cas.py'} /tmp/trust_cas.py",
                '--customize-hook=chroot "$1" python3 /tmp/trust_cas.py /tmp/machine-cas.pem',
                '--customize-hook=rm "$1/tmp/machine-cas.pem" "$1/tmp/trust_cas.py"',
            ]
        return [*command, self.suite, str(tar), *([self.mirror] if self.mirror else [])]


def machine_apt_options() -> tuple[str, ...]:
    """apt settings a host needs to reach packages the way this machine does (proxy, clock)."""
    wanted = re.compile(r"Acquire::(https?::Proxy\b.*|Check-Date|Check-Valid-Until) ", re.IGNORECASE)
    try:
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        dump = ""
    options = [line.rstrip(";") for line in dump.splitlines() if wanted.match(line)]
    for scheme in ("http", "https"):
        proxy = os.environ.get(f"{scheme}_proxy")
        if proxy and not any(f"::{scheme}::proxy" in option.lower() for option in options):
            options.append(f'Acquire::{scheme}::Proxy "{proxy}"')
    return tuple(options)


def recipe_for(suite: str, engine: bool) -> Recipe:
    """The recipe of a host here, with this machine's mirror (PPOCR_APT_MIRROR) and apt settings."""
    return Recipe(suite, engine, os.environ.get("PPOCR_APT_MIRROR", ""), machine_apt_options())


def ensure(recipes: Iterable[Recipe]) -> None:
    """Build the images that are missing, two at a time. Raises LabError with mmdebstrap's words."""
    missing = [recipe for recipe in dict.fromkeys(recipes) if not _exists(recipe.tag)]
    with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        list(pool.map(_build, missing))


def _exists(tag: str) -> bool:
    return docker("image", "inspect", tag, check=False).returncode == 0


def _build(recipe: Recipe) -> None:
    started = time.monotonic()
    cache = _cache_folder()
    tar = cache / f"{recipe.tag.replace(':', '-')}.tar"
    with _locked(tar.with_suffix(".lock")):
        if _exists(recipe.tag):
            return
        how = "from the cache"
        if not tar.exists():
            how = "built"
            _bootstrap(recipe, tar)
        docker("import", "--change", 'CMD ["/usr/local/sbin/lab-init"]', str(tar), recipe.tag)
    print(
        f"lab: {recipe.tag} {how} in {time.monotonic() - started:.0f} s "
        f"({tar.stat().st_size // 1_000_000} MB in {cache})",
        file=sys.stderr,
        flush=True,
    )


def _bootstrap(recipe: Recipe, tar: Path) -> None:
    if not shutil.which("mmdebstrap"):
        raise LabError("mmdebstrap makes the hosts' roots and is missing: apt-get install mmdebstrap")
    unfinished = tar.with_suffix(f".{os.getpid()}.partial.tar")
    try:
        done = subprocess.run(
            recipe.command(unfinished), capture_output=True, text=True, timeout=BUILD_SECONDS
        )
        if done.returncode:
            raise LabError(f"mmdebstrap could not make {recipe.tag}:\n{done.stderr[-4000:]}")
        unfinished.rename(tar)
        kind = tar.stem.rsplit("-", 1)[0]
        for other in tar.parent.iterdir():
            if other != tar and re.fullmatch(rf"{kind}-[0-9a-f]{{12}}\.tar", other.name):
                other.unlink()  # of an earlier recipe
    except subprocess.TimeoutExpired:
        raise LabError(f"mmdebstrap took more than {BUILD_SECONDS} s for {recipe.tag}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _cache_folder() -> Path:
    folder = Path(os.environ.get("PPOCR_CACHE", "/var/cache/ppocr")) / "lab"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"cannot keep host roots in {folder} ({error}); set PPOCR_CACHE") from None
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One builder of an image at a time on this machine."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
