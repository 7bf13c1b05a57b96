"""A Debian root that boots, made by mmdebstrap from packages; its tar is kept for reuse."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .engine import LabError

MACHINE_CAS = Path("/etc/ssl/certs/ca-certificates.crt")
IN_ROOT = Path(__file__).parent / "in_root"
INIT = "/usr/local/sbin/lab-init"

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "python3", "iproute2",
    "iptables", "ca-certificates", "tzdata", "procps",
)  # fmt: skip
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


@dataclass(frozen=True)
class Root:
    """The recipe of a root: all that decides what is in it."""

    suite: str
    mirror: str  # the distribution's own where empty
    apt_options: tuple[str, ...]

    @property
    def name(self) -> str:
        """``<suite>-<hash of the recipe>``"""
        files = [path for path in (*sorted(IN_ROOT.iterdir()), MACHINE_CAS) if path.is_file()]
        recipe = json.dumps([
            PACKAGES, MASKED_UNITS, DPKG_OPTIONS, self.mirror, self.apt_options,
            [hashlib.sha256(path.read_bytes()).hexdigest() for path in files],
        ])  # fmt: skip
        return f"{self.suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"

    def tar(self, folder: Path) -> Path:
        """The tar of this root in ``folder``, made where it is missing.

        Raises LabError with mmdebstrap's own words when it fails.
        """
        tar = folder / f"{self.name}.tar"
        if not tar.exists():
            self._bootstrap(tar)
            for other in folder.iterdir():
                if other != tar and re.fullmatch(rf"{self.suite}-[0-9a-f]{{12}}\.tar", other.name):
                    other.unlink()  # of an earlier recipe
        return tar

    def _bootstrap(self, tar: Path) -> None:
        if not shutil.which("mmdebstrap"):
            raise LabError(
                "hosts' roots are made by mmdebstrap, which is missing: apt-get install mmdebstrap"
            )
        unfinished = tar.with_suffix(".partial.tar")
        try:
            done = subprocess.run(
                self._command(unfinished), capture_output=True, text=True, timeout=BUILD_SECONDS
            )
            if done.returncode:
                raise LabError(f"mmdebstrap could not make {self.name}:\n{done.stderr[-4000:]}")
            unfinished.rename(tar)
        except subprocess.TimeoutExpired:
            raise LabError(f"mmdebstrap took over {BUILD_SECONDS} s for {self.name}") from None
        finally:
            unfinished.unlink(missing_ok=True)

    def _command(self, tar: Path) -> list[str]:
        command = [
            "mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
            *(f"--aptopt={option}" for option in self.apt_options),
            *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
            f"--customize-hook=upload {IN_ROOT / 'lab-init'} {INIT}",
            f'--customize-hook=chmod 0755 "$1{INIT}"',
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


def machine_root(suite: str) -> Root:
    """A root that reaches packages as this machine does: mirror (PPOCR_APT_MIRROR) and proxy."""
    return Root(suite, os.environ.get("PPOCR_APT_MIRROR", ""), _machine_apt_options())


def _machine_apt_options() -> tuple[str, ...]:
    """This machine's apt settings that have to do with reaching packages, and with its clock."""
    wanted = re.compile(r"Acquire::(https?::Proxy\b.*|Check-Date|Check-Valid-Until) ", re.I)
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
