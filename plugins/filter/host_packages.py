"""Filters of the role host_packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Distributions of the RHEL family whose os_family Ansible does not know yet.
_REDHAT = {"Anolis", "Anolis OS"}


def host_packages_family(facts: Mapping[str, Any]) -> str:
    """The family whose packages a host takes, from its facts: Debian, RedHat, ..."""
    return "RedHat" if facts["distribution"] in _REDHAT else str(facts["os_family"])


class FilterModule:
    """Filters of the role host_packages."""

    def filters(self) -> dict[str, object]:
        return {"host_packages_family": host_packages_family}
