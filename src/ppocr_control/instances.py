"""The instances of a host: the entries of ``hubserving_instances``, each over the plain settings.

Variables of a host are without the defaults of the roles, so the few of them that are needed here
are repeated; tests/unit/test_one_owner.py compares them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Defaults of hubserving_name, hubserving_port and hubserving_bind.
NAME, PORT, BIND = "ppocr", 8866, "0.0.0.0"  # noqa: S104 - compared with, not bound
EVERYWHERE = ("", BIND, "::", "[::]")


def is_loopback(address: str) -> bool:
    """Whether an address, or the name of one, is reached from its own host alone."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


@dataclass(frozen=True)
class Instance:
    """An instance of the service.

    Attributes:
        entry: its own settings, without ``hubserving_``; empty where the host has no list.
        host: the variables of its host.
    """

    entry: Mapping[str, Any]
    host: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """A setting, by its name without ``hubserving_``: the entry's own, or the host's."""
        # One by one: a host's variables are rendered as they are read, and others may fail.
        return self.entry.get(name, self.host.get(f"hubserving_{name}", default))

    @property
    def name(self) -> str:
        return str(self.get("name", NAME))

    @property
    def port(self) -> int:
        return int(self.get("port", PORT))

    @property
    def is_everywhere(self) -> bool:
        """Whether it listens on all addresses of the host."""
        return self.get("bind", BIND) in EVERYWHERE

    def address(self, of_host: str) -> str:
        """Where others reach it, given the address of its host: there, or at its own."""
        return of_host if self.is_everywhere else str(self.get("bind"))


def instances(host: Mapping[str, Any]) -> list[Instance]:
    """The instances of a host, from its variables; one where it has no list of them."""
    return [Instance(entry, host) for entry in host.get("hubserving_instances") or [{}]]


def published(bind: str, port: int, inside: int) -> str:
    """A port of a container as Docker's module publishes it: IPv6 addresses in brackets alone."""
    bare = bind.strip("[]")
    address = f"[{bare}]" if ":" in bare else bare
    return f"{address}:{port}:{inside}"
