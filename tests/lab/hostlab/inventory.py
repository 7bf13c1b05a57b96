"""Ansible's and ssh's own descriptions of the lab's hosts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .host import Host
from .root import MACHINE_CAS

GROUP = "ppocr_hosts"


def host_variables(host: Host) -> dict[str, Any]:
    """How Ansible reaches a host."""
    ssh_args = " ".join(["-F /dev/null", *(f"-o {option}" for option in host.ssh_options())])
    variables: dict[str, Any] = {
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": host.user,
        "ansible_ssh_private_key_file": str(host.key),
        "ansible_ssh_common_args": ssh_args,
    }
    if host.password:
        variables["ansible_become_password"] = host.password
    return variables


def site_variables() -> dict[str, Any]:
    """What hosts and images need to know of this machine, whose processors all hosts share."""
    patient = {"hubserving_timeout": 180, "smoke_test_timeout": 180}
    return {**patient, **({"ppocr_ca_bundle": str(MACHINE_CAS)} if MACHINE_CAS.is_file() else {})}


def render(hosts: Iterable[Host], group_vars: Mapping[str, Any] | None = None) -> str:
    """An inventory in JSON, which is YAML, so that no value needs quoting by hand."""
    group = {
        "hosts": {host.name: host_variables(host) for host in hosts},
        "vars": {**site_variables(), **(group_vars or {})},
    }
    return json.dumps({GROUP: group}, indent=2, ensure_ascii=False, default=str) + "\n"


def write(path: Path, hosts: Iterable[Host], group_vars: Mapping[str, Any] | None = None) -> Path:
    """Write the inventory of ``hosts``; it holds the sudo password, so only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(render(hosts, group_vars))
    return path


def write_balancers(path: Path, balancers: Iterable[Host], address: str = "") -> Path:
    """An inventory with the balancers alone, to be given beside that of the hosts."""
    hosts = {host.name: host_variables(host) for host in balancers}
    group = {"hosts": hosts, "vars": {"balancer_virtual_address": address}}
    path.write_text(json.dumps({"ppocr_balancers": group}))
    return path
