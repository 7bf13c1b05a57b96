"""The networks hosts stand in: one with a way out, and one without."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from .engine import LABEL, LabError, docker

# Chosen here, since an engine keeps an address for a host only in a subnet that was asked for.
RANGE = ipaddress.IPv4Network("10.77.0.0/16")
FIRST_HOST = 10


@dataclass(frozen=True)
class Network:
    """A bridge of the lab; this machine is its gateway and so reaches every host on it."""

    name: str
    subnet: ipaddress.IPv4Network
    internal: bool

    def address(self, taken: set[str]) -> str:
        """The lowest address no host has; raises LabError when there is none."""
        for host in list(self.subnet.hosts())[FIRST_HOST - 1 :]:
            if str(host) not in taken:
                return str(host)
        raise LabError(f"no free address in {self.subnet}")

    def resolv_conf(self) -> str:
        """This machine's own name servers; none at all where there is no way out.

        Raises LabError where this machine's name servers cannot be told.
        """
        if self.internal:
            return "# no way out of this network"
        for source in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
            lines = source.read_text().splitlines() if source.is_file() else []
            servers = [line for line in lines if line.startswith("nameserver")]
            # A loopback resolver is this machine's own and means nothing inside a host.
            if servers and not any(server.split()[1].startswith("127.") for server in servers):
                return "\n".join([*servers, *(x for x in lines if x.startswith("search"))])
        raise LabError("no name server other than a loopback one found in /etc/resolv.conf")


def ensure(lab: str, kind: str) -> Network:
    """The lab's network of a kind (normal | internal), made where it is missing."""
    name = f"ppocr-lab-{lab}-{kind}"
    internal = kind == "internal"
    for subnet in RANGE.subnets(new_prefix=24):
        found = docker(
            "network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", name, check=False
        )
        if found.returncode == 0:
            return Network(name, ipaddress.IPv4Network(found.stdout.strip()), internal)
        made = docker(
            "network", "create", "--label", f"{LABEL}={lab}", "--subnet", str(subnet),
            *(["--internal"] if internal else []), name, check=False,
        )  # fmt: skip
        if made.returncode == 0:
            return Network(name, subnet, internal)
        if not any(word in made.stderr for word in ("overlaps", "already exists", "conflicts")):
            raise LabError(f"cannot make the network {name}: {made.stderr.strip()}")
    raise LabError(f"every subnet of {RANGE} is taken")
