"""A named set of hosts. The engine's labels are the only record of what exists."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import image, inventory, network
from .engine import LABEL, LabError, containers, docker, require_engine
from .host import Host, Keys
from .spec import HostSpec

ROOT = Path(__file__).resolve().parents[3]
MAX_HOSTS = int(os.environ.get("PPOCR_LAB_MAX_HOSTS", "8"))
STARTS_AT_ONCE = 4


def state_folder(lab: str) -> Path:
    """Where a lab keeps its key and inventory: .lab/<name>, or under PPOCR_LAB_STATE."""
    return Path(os.environ.get("PPOCR_LAB_STATE", ROOT / ".lab")) / lab


class Lab:
    """Bring hosts up, find them again, take them down. Raises LabError in words for a person."""

    def __init__(self, name: str = "lab") -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
            raise LabError(f"a lab's name is lower-case letters, digits and '-': not {name!r}")
        require_engine()
        self.name = name
        self.state = state_folder(name)
        self._lock = threading.Lock()

    @property
    def keys(self) -> Keys:
        """The lab's keys, made at first use."""
        with self._lock:
            return Keys.ensure(self.state)

    def hosts(self) -> list[Host]:
        """The hosts there are, by name, running or not."""
        found = []
        for container in containers(f"{LABEL}={self.name}"):
            labels = container["Config"]["Labels"]
            spec = HostSpec.from_json(labels[f"{LABEL}.spec"])
            found.append(Host(self.name, spec, labels[f"{LABEL}.address"], self.keys))
        return sorted(found, key=lambda host: host.name)

    def up(self, specs: Iterable[HostSpec]) -> list[Host]:
        """Hosts as specified, in that order; one that is there already is kept, if it is the same.

        Raises LabError when it is not the same, or when there would be too many hosts at once.
        """
        wanted = list(specs)
        present = {host.name: host for host in self.hosts()}
        for spec in wanted:
            if spec.name in present and present[spec.name].spec != spec:
                raise LabError(
                    f"{present[spec.name]} is there already, and is not {spec}; "
                    f"take it down first: scripts/lab down --name {self.name}"
                )
        missing = [spec for spec in wanted if spec.name not in present]
        if missing:
            running = len(containers(LABEL, running=True))
            if running + len(missing) > MAX_HOSTS:
                raise LabError(
                    f"{running} lab hosts run on this machine and {len(missing)} more are wanted; "
                    f"PPOCR_LAB_MAX_HOSTS allows {MAX_HOSTS} (scripts/lab status --all lists them)"
                )
            image.ensure((spec.suite, spec.engine == "installed") for spec in missing)
            with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
                present |= {host.name: host for host in pool.map(self._start, missing)}
            inventory.write(self.inventory, self.hosts())
        hosts = [present[spec.name] for spec in wanted]
        for host in hosts:
            if not host.running:
                host.start()
        return hosts

    def _start(self, spec: HostSpec) -> Host:
        keys = self.keys
        with self._lock:
            net = network.ensure(self.name, spec.network)
            taken = {
                container["Config"]["Labels"][f"{LABEL}.address"]
                for container in containers(f"{LABEL}={self.name}")
            }
            host = Host(self.name, spec, net.address(taken), keys)
            host.create(image.tag(spec.suite, spec.engine == "installed"), net)
        try:
            host.wait_ready()
            host.open_door()
        except BaseException:
            self._remove(host)  # half a host would be taken for a whole one by the next call
            raise
        return host

    @property
    def inventory(self) -> Path:
        """The Ansible inventory of all the lab's hosts."""
        return self.state / "hosts.yml"

    def host(self, name: str) -> Host:
        """The host of that name; raises LabError naming those there are."""
        hosts = {host.name: host for host in self.hosts()}
        if name not in hosts:
            there = ", ".join(hosts) or "none"
            raise LabError(f"lab {self.name} has no host {name}; it has {there}")
        return hosts[name]

    def remove(self, *hosts: Host) -> None:
        """Take single hosts down, with their volumes."""
        for host in hosts:
            self._remove(host)
        if hosts:
            inventory.write(self.inventory, self.hosts())

    def _remove(self, host: Host) -> None:
        docker("rm", "--force", "--volumes", host.container)
        docker("volume", "rm", "--force", f"{host.container}-docker")

    def down(self) -> None:
        """Remove every container, volume and network of this lab, and nothing else."""
        mine = f"label={LABEL}={self.name}"
        for kind, find, remove in (
            ("container", ("ps", "--all", "--quiet"), ("rm", "--force", "--volumes")),
            ("volume", ("volume", "ls", "--quiet"), ("volume", "rm")),
            ("network", ("network", "ls", "--quiet"), ("network", "rm")),
        ):
            found = docker(*find, "--filter", mine).stdout.split()
            gone = docker(*remove, *found, check=False) if found else None
            if gone and docker(*find, "--filter", mine).stdout.split():
                raise LabError(f"lab {self.name}: a {kind} would not go: {gone.stderr.strip()}")
        self._forget()

    def _forget(self) -> None:
        """Remove the keys and the inventory; logs of runs stay to be read."""
        for path in self.state.glob("*"):
            if path.is_file():
                path.unlink()
        if self.state.is_dir() and not any(self.state.iterdir()):
            self.state.rmdir()


def all_labs() -> list[str]:
    """The names of the labs that have hosts on this machine."""
    return sorted({found["Config"]["Labels"][LABEL] for found in containers(LABEL)})
