"""Filters of the role inventory_check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_DEFAULT = "0.0.0.0"  # noqa: S104 - compared with, not bound
_EVERYWHERE = {_DEFAULT, "[::]", "::"}


def inventory_check_open(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of hosts whose service is open to every client, from the hosts' variables."""
    found = []
    for host in hosts:
        if host.get("hubserving_tokens") or host.get("hubserving_allow_networks"):
            continue
        bind = host.get("hubserving_bind", _DEFAULT)
        entries = host.get("hubserving_instances") or [{}]
        if any(entry.get("bind", bind) in _EVERYWHERE for entry in entries):
            found.append(str(host["inventory_hostname"]))
    return found


class FilterModule:
    """Filters of the role inventory_check."""

    def filters(self) -> dict[str, object]:
        return {"inventory_check_open": inventory_check_open}
