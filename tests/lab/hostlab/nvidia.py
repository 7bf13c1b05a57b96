"""A host that pretends to have NVIDIA cards: driver tools, and the four packages in a repository.

For tests only. Docker takes the pretended toolkit for the real one; nothing computes on it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .engine import LabError, docker
from .host import Host
from .tiny import MAKE

HERE = Path(__file__).parent / "in_gpu_host"
STATE = "/etc/pretended-gpu.json"
DRIVER = "535.183.01"
#: What the role pins by default, and a newer one that it has to leave alone.
VERSION, NEWER = "1.18.1-1", "1.19.0-1"
REPOSITORY = "/srv/nvidia"
# Package: what it depends on, in the versions' own place, and the programs in it.
PACKAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "libnvidia-container1": ("libc6", ()),
    "libnvidia-container-tools": ("libnvidia-container1 (>= {0})", ()),
    "nvidia-container-toolkit-base": ("libc6", ("nvidia-ctk",)),
    "nvidia-container-toolkit": (
        "nvidia-container-toolkit-base (= {0}), libnvidia-container-tools (>= {0})",
        ("nvidia-container-runtime-hook",),
    ),
}


def cards(count: int, instances: int = 0, capability: str = "8.9") -> list[dict[str, Any]]:
    """Cards as nvidia-smi lists them; the first is split into MIG instances where asked for."""
    made: list[dict[str, Any]] = [
        {
            "index": index,
            "name": "NVIDIA L4",
            "uuid": f"GPU-{index:08x}-0000-4000-8000-00000000cafe",
            "capability": capability,
        }
        for index in range(count)
    ]
    if instances:
        made[0]["instances"] = [
            f"MIG-{part:08x}-0000-4000-8000-0000000000a1" for part in range(instances)
        ]
    return made


def pretend(
    host: Host,
    count: int = 2,
    *,
    instances: int = 0,
    capability: str = "8.9",
    driver: str = DRIVER,
    failure: str = "",
    hidden: Sequence[int] = (),
) -> None:
    """Give the host a driver with cards, or one that fails as nvidia-smi's FAILURES lists.

    ``hidden`` cards are listed by nvidia-smi and unknown to the runtime hook.
    """
    state = {"cards": cards(count, instances, capability), "driver": driver, "failure": failure}
    host.put(STATE, json.dumps({**state, "hidden": list(hidden)}))
    host.put("/usr/bin/nvidia-smi", HERE / "nvidia-smi", "0755")


def packages(folder: Path, version: str = VERSION) -> list[Path]:
    """Build the four packages into a folder."""
    built = []
    for name, (depends, programs) in PACKAGES.items():
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            (root / "DEBIAN").mkdir()
            (root / "DEBIAN").chmod(0o755)
            (root / "DEBIAN/control").write_text(
                f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
                f"Maintainer: the lab\nDepends: {depends.format(version)}\n"
                "Description: pretended, for tests\n"
            )
            # Without a file of its own dpkg takes a package for replaced by the next.
            (root / "usr/share/doc" / name).mkdir(parents=True)
            (root / "usr/share/doc" / name / "copyright").write_text("pretended\n")
            (root / "usr/bin").mkdir(parents=True)
            for program in programs:
                target = root / "usr/bin" / program
                target.write_text((HERE / program).read_text().replace("@VERSION@", version))
                target.chmod(0o755)
            path = folder / f"{name}_{version}_amd64.deb"
            _run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(root), str(path))
            built.append(path)
    return built


def repository(folder: Path, versions: Sequence[str] = (VERSION, NEWER)) -> Path:
    """Build a signed apt repository of the packages in a folder; returns the key it is signed with.

    Raises LabError when this machine has no gpg.
    """
    if not shutil.which("gpg"):
        raise LabError("the repository of the GPU tests is signed with gpg: apt-get install gnupg")
    entries = []
    for version in versions:
        for path in packages(folder, version):
            fields = _run("dpkg-deb", "--field", str(path)).strip()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            size = path.stat().st_size
            entries.append(f"{fields}\nFilename: ./{path.name}\nSize: {size}\nSHA256: {digest}\n")
    index = "\n".join(entries).encode()
    (folder / "Packages").write_bytes(index)
    release = folder / "Release"
    release.write_text(
        f"Origin: the lab\nDate: {_run('date', '-Ru').strip()}\nSHA256:\n"
        f" {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
    )
    with tempfile.TemporaryDirectory() as home:
        gpg = ("gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback")
        _run(*gpg, "--passphrase", "", "--quick-generate-key", "lab", "ed25519", "sign", "1d")
        _run(*gpg, "--passphrase", "", "--clearsign", "-o", str(folder / "InRelease"), str(release))
        key = folder / "lab.asc"
        key.write_text(_run(*gpg, "--armor", "--export", "lab"))
        _run("gpgconf", "--homedir", home, "--kill", "all")
    return key


def offer(host: Host, folder: Path) -> str:
    """Put a repository on a host; returns its URL there."""
    for path in folder.iterdir():
        host.put(f"{REPOSITORY}/{path.name}", path)
    return f"file:{REPOSITORY}"


def service_image(tag: str) -> str:
    """An image in this machine's engine that stands for the service; returns its tag."""
    base = f"{tag}-base"
    subprocess.run(["sh", "-c", f"set -- {base}\n{MAKE}"], check=True, capture_output=True)
    dockerfile = (
        f"FROM {base}\nCOPY service.py /service.py\n"
        # The name nvidia-smi calls it by.
        'RUN ["/usr/bin/python", "-c", "import os; os.symlink(\'python\', \'/usr/bin/python3\')"]\n'
        "LABEL org.ppocr.content=pretended\n"
        'ENTRYPOINT ["/usr/bin/python", "/service.py"]\n'
        "HEALTHCHECK --interval=2s --timeout=60s --retries=2 --start-period=60s "
        'CMD ["/usr/bin/python", "/service.py", "health"]\n'
    )
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(HERE / "service.py", scratch)
        (Path(scratch) / "Dockerfile").write_text(dockerfile)
        docker("build", "--quiet", "--tag", tag, scratch)
    return tag


def _run(*command: str) -> str:
    """Run a command; raises LabError with its words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout
