"""OS packages of a release with all their dependencies, as a local repository in one tar."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import Error, Refused
from ..files import file_sha256
from ..progress import Progress
from ..tarfiles import without_owner_and_time

#: Packages the roles install on hosts, and those Ansible and control nodes need.
WANTED = (
    "docker.io", "iptables", "apparmor", "ca-certificates", "python3", "python3-requests", "tzdata",
    "python3-venv", "zstd", "mmdebstrap", "haproxy", "keepalived",
)  # fmt: skip
#: From trixie on the client is a separate package.
WANTED_IF_KNOWN = ("docker-cli",)
_SECONDS = 1800

# A minimal root of the release is created and discarded: the packages apt would add to it are those
# a host may lack. apt runs outside with the configuration of the root, so this machine's proxies
# apply.
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
    """Write ``output`` (a tar) for a release such as debian-bookworm; return its packages' fields.

    Args:
        extra: additional package names.
        debs: additional package files, such as a vendor's.
        mirror: where packages come from; empty for mmdebstrap's default.

    Raises:
        Refused: mmdebstrap is missing, or the release does not exist.
        Error: packages cannot be downloaded.
    """
    distribution, _, suite = release.partition("-")
    if not suite:
        raise Refused(f"{release!r} is not <distribution>-<suite>, such as debian-bookworm")
    if not shutil.which("mmdebstrap"):
        raise Refused("mmdebstrap is needed to download packages: apt-get install mmdebstrap")
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
                    tar.add(path, path.name, filter=without_owner_and_time)
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
            f"packages of {suite} cannot be downloaded: {done.stderr.strip()[-1200:]}\n"
            "Set ppocr_apt_mirror or a proxy, or remove the release from bundle_releases"
        )


def _index(folder: Path) -> list[dict[str, str]]:
    """Write the repository's index; return the fields of each package."""
    entries = []
    for deb in sorted(folder.glob("*.deb")):
        done = subprocess.run(
            ["dpkg-deb", "--field", str(deb)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Refused(f"{deb.name} is not a package: {done.stderr.strip()}")
        entries.append(
            f"{done.stdout.strip()}\nFilename: ./{deb.name}\nSize: {deb.stat().st_size}\n"
            f"SHA256: {file_sha256(deb)}\n"
        )
    if not entries:
        raise Error("no packages were downloaded")
    (folder / "Packages").write_text("\n".join(entries))
    return [_fields(entry) for entry in entries]


def _fields(entry: str) -> dict[str, str]:
    lines = (line for line in entry.splitlines() if line[:1].strip() and ": " in line)
    pairs = (line.split(": ", 1) for line in lines)
    return {pair[0]: pair[1] for pair in pairs}
