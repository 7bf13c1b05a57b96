"""A container registry on this machine's loopback, which hosts reach through SSH as their own.

The program is Debian's docker-registry, unpacked beside the test and not installed: as a package it
would start a service. Engines speak plain HTTP to loopback addresses without being told to.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .engine import LabError
from .host import Host
from .waiting import until


def program(folder: Path) -> str | None:
    """The registry's program: the one installed, else Debian's; None where there is neither."""
    if found := shutil.which("docker-registry"):
        return found
    folder.mkdir(parents=True, exist_ok=True)
    fetched = subprocess.run(
        ["apt-get", "download", "docker-registry"], cwd=folder, capture_output=True
    )
    package = next(folder.glob("docker-registry_*.deb"), None)
    if fetched.returncode or package is None:
        return None
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "root")], check=True)
    return str(folder / "root/usr/bin/docker-registry")


@contextlib.contextmanager
def serving(folder: Path, binary: str) -> Iterator[str]:
    """Run the registry; gives its address, ``127.0.0.1:port``. Raises LabError on failure."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    config = folder / "registry.yml"
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
                "http": {"addr": f"127.0.0.1:{port}"},
            }
        )
    )
    with (folder / "registry.log").open("wb") as log:
        server = subprocess.Popen([binary, "serve", str(config)], stdout=log, stderr=log)
    try:
        if not until(lambda: _answers(port), 20, every=0.2):
            raise LabError(
                f"the registry does not answer:\n{(folder / 'registry.log').read_text()}"
            )
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@contextlib.contextmanager
def reached_by(address: str, *hosts: Host) -> Iterator[None]:
    """Let hosts reach the registry under the same address, each through an SSH tunnel."""
    port = address.rpartition(":")[2]
    forward = ["-N", "-oExitOnForwardFailure=yes", "-R", f"{port}:{address}"]
    calls = [[*host.ssh_command()[:-1], *forward, host.ssh_command()[-1]] for host in hosts]
    tunnels = [subprocess.Popen(call, stderr=subprocess.DEVNULL) for call in calls]
    try:
        for host in hosts:
            host.wait_for(f"timeout 1 bash -c '</dev/tcp/127.0.0.1/{port}'", timeout=20)
        yield
    finally:
        for tunnel in tunnels:
            tunnel.terminate()
            tunnel.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
