"""OS packages of a release with all their dependencies, as a local repository in one tar."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import Error, Refused
from ..images.context import _plain
from ..progress import Progress

#: What the roles install on a host, what Ansible needs there, and what a control node needs.
WANTED = (
    "docker.io", "iptables", "apparmor", "ca-certificates", "python3", "python3-requests", "tzdata",
    "python3-venv", "zstd", "mmdebstrap",
)  # fmt: skip
#: From trixie on the client is a package of its own.
WANTED_IF_KNOWN = ("docker-cli",)
_SECONDS = 1800

# The smallest root of the release is made and thrown away: what apt would add to it is what a host
# may lack. apt runs outside, configured for inside, so proxies of this machine hold.
_FETCH = """
set -eu
export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
names={names}
for name in {optional}; do
  if apt-cache pkgnames "$name" | grep -qx "$name"; then names="$names $name"; fi
done
mkdir -p {out}/partial
apt-get --yes --quiet --no-install-recommends --download-only \\
  -o Dir::Cache::Archives={out}/ -o APT::Sandbox::User=root install $names
"""


def fetch(
    release: str,
    output: Path,
    extra: Sequence[str],
    debs: Sequence[Path],
    mirror: str,
    progress: Progress,
) -> list[dict[str, str]]:
    """Write ``output`` (a tar) for a release such as debian-bookworm; returns its packages' fields.

    Args:
        extra: further package names.
        debs: package files of your own to add, such as a vendor's.
        mirror: where packages come from; empty for the bootstrapping tool's own.

    Raises:
        Refused: no tool, or no such release.
        Error: packages cannot be had.
    """
    distribution, _, suite = release.partition("-")
    if not suite:
        raise Refused(f"{release!r} is not <distribution>-<suite>, such as debian-bookworm")
    if not shutil.which("mmdebstrap"):
        raise Refused("mmdebstrap finds a release's packages: apt-get install mmdebstrap")
    with tempfile.TemporaryDirectory(prefix="ppocr-packages.", dir=output.parent) as name:
        folder = Path(name)
        progress.say(f"fetching packages of {distribution} {suite}")
        _fetch(suite, folder, [*WANTED, *extra], mirror)
        for deb in debs:
            shutil.copy(deb, folder)
        fields = _index(folder)
        part = output.with_suffix(".part")
        with tarfile.open(part, "w") as tar:
            for path in sorted(folder.iterdir()):
                if path.is_file() and path.name != "lock":
                    tar.add(path, path.name, filter=_plain)
        part.rename(output)
    return fields


def _fetch(suite: str, folder: Path, names: Sequence[str], mirror: str) -> None:
    script = _FETCH.format(
        names=shlex.quote(" ".join(names)),
        optional=" ".join(WANTED_IF_KNOWN),
        out=shlex.quote(str(folder)),
    )
    hook = folder / "fetch.sh"
    hook.write_text(script)
    command = [
        "mmdebstrap", "--quiet", "--variant=apt", "--format=null",
        f"--customize-hook=sh {shlex.quote(str(hook))}", suite, "/dev/null",
        *([mirror] if mirror else []),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_SECONDS, env=dict(os.environ)
    )
    hook.unlink()
    shutil.rmtree(folder / "partial", ignore_errors=True)
    if done.returncode:
        raise Error(
            f"packages of {suite} cannot be had: {done.stderr.strip()[-1200:]}\n"
            "Set ppocr_apt_mirror or a proxy, or leave the release out (bundle_releases)"
        )


def _index(folder: Path) -> list[dict[str, str]]:
    """Write the repository's index; returns the fields of each package."""
    entries = []
    for deb in sorted(folder.glob("*.deb")):
        done = subprocess.run(
            ["dpkg-deb", "--field", str(deb)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Refused(f"{deb.name} is no package: {done.stderr.strip()}")
        with deb.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        entries.append(
            f"{done.stdout.strip()}\nFilename: ./{deb.name}\nSize: {deb.stat().st_size}\n"
            f"SHA256: {digest}\n"
        )
    if not entries:
        raise Error("no package was fetched")
    (folder / "Packages").write_text("\n".join(entries))
    return [_fields(entry) for entry in entries]


def _fields(entry: str) -> dict[str, str]:
    lines = (line for line in entry.splitlines() if line[:1].strip() and ": " in line)
    pairs = (line.split(": ", 1) for line in lines)
    return {pair[0]: pair[1] for pair in pairs}
