"""Filters of the role inventory_check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ppocr_control.instances import instances


def inventory_check_open(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of hosts whose service is open to every client, from the hosts' variables."""
    found = []
    for host in hosts:
        if host.get("hubserving_tokens") or host.get("hubserving_allow_networks"):
            continue
        if any(instance.is_everywhere for instance in instances(host)):
            found.append(str(host["inventory_hostname"]))
    return found


class FilterModule:
    """Filters of the role inventory_check."""

    def filters(self) -> dict[str, object]:
        return {"inventory_check_open": inventory_check_open}
