"""A host's network link: slowed down, and its bytes counted, from this machine's end of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .engine import LabError
from .host import Host


def interface(host: Host) -> str:
    """The name of this machine's end of the host's link. It changes when the cable is pulled."""
    index = host.run("cat /sys/class/net/eth*/iflink | head -1").stdout.strip()
    said = subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=True)
    for found in json.loads(said.stdout):
        if str(found["ifindex"]) == index:
            return str(found["ifname"])
    raise LabError(f"{host}: no interface {index} on this machine")


def sent_to(host: Host) -> int:
    """Bytes this machine put on the host's link so far."""
    counter = Path(f"/sys/class/net/{interface(host)}/statistics/tx_bytes")
    return int(counter.read_text())


@contextmanager
def from_here(*hosts: Host) -> Iterator[Callable[[], int]]:
    """Count the bytes this machine itself sends to the hosts, not those they send each other."""
    places = [["OUTPUT", "-d", f"{host.address}/32"] for host in hosts]
    for place in places:
        _iptables("-I", *place)

    def count() -> int:
        rows = [line.split() for line in _iptables("-nvxL", "OUTPUT").splitlines()]
        return sum(int(row[1]) for row in rows if row and row[-1] in addresses)

    addresses = {host.address for host in hosts}
    try:
        yield count
    finally:
        for place in places:
            _iptables("-D", *place)


def _iptables(*what: str) -> str:
    done = subprocess.run(["iptables", "-w", *what], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"iptables: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def slowed(*hosts: Host, mbit: int) -> Iterator[None]:
    """Let no more than ``mbit`` Mbit/s reach each of the hosts."""
    names = [interface(host) for host in hosts]
    for name in names:
        _tc("replace", name, "tbf", "rate", f"{mbit}mbit", "burst", "128kb", "latency", "300ms")
    try:
        yield
    finally:
        for name in names:
            _tc("del", name, check=False)


@contextmanager
def slow_to_all(host: Host, mbit: int) -> Iterator[None]:
    """Let this machine send no more than ``mbit`` Mbit/s to all hosts of the host's network.

    What hosts send each other is not slowed: they are one site behind one link.
    """
    said = subprocess.run(
        ["ip", "-json", "link", "show", interface(host)], capture_output=True, text=True, check=True
    )
    bridge = str(json.loads(said.stdout)[0]["master"])
    _tc("replace", bridge, "tbf", "rate", f"{mbit}mbit", "burst", "128kb", "latency", "300ms")
    try:
        yield
    finally:
        _tc("del", bridge, check=False)


def _tc(verb: str, name: str, *what: str, check: bool = True) -> None:
    done = subprocess.run(
        ["tc", "qdisc", verb, "dev", name, "root", *what], capture_output=True, text=True
    )
    if check and done.returncode:
        raise LabError(f"tc: {done.stderr.strip()}")
