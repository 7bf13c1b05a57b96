"""Filters of the role balancer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ppocr_contract.settings import bare_name
from ppocr_control.instances import instances, is_loopback

#: Defaults of role hubserving, which are not among a host's variables.
_PDSERVING_PORT, _TIMEOUT = 9998, 60
_SWARM_PORTS = (2377, 7946)


def _instances(host: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The instances of a host, each with name, port and address as the balancers reach it.

    pdserving_port is 0 where there is none.
    """
    address = host.get("balancer_address") or host.get("ansible_host")
    if not address and host.get("ansible_connection") == "local":
        address = "127.0.0.1"
    address = str(address or host["inventory_hostname"])
    return [
        {
            "name": each.name,
            "port": each.port,
            "pdserving_port": int(each.get("pdserving_port", _PDSERVING_PORT))
            * boolean(each.get("pdserving", False)),
            "address": each.address(address),
        }
        for each in instances(host)
    ]


def _held_ports(host: Mapping[str, Any]) -> dict[int, str]:
    """The ports a host of the service has, each with what it is."""
    swarm = _SWARM_PORTS if host.get("ppocr_cluster") == "swarm" else ()
    found = dict.fromkeys(swarm, "port of Docker Swarm")
    for instance in _instances(host):
        for key in ("port", "pdserving_port"):
            found[instance[key]] = f"hubserving_{key} of instance {instance['name']}"
    found.pop(0, None)  # no pdserving
    return found


def _common(lists: list[list[str]]) -> list[str]:
    """The names that are in all of the lists."""
    bare = [set(map(bare_name, names)) for names in lists]
    return [name for name in lists[0] if all(bare_name(name) in each for each in bare)]


def balancer_plan(
    hosts: Iterable[Mapping[str, Any]],
    balancer: str,
    ports: Mapping[str, Any],
    offset: int,
    metrics_port: int,
) -> dict[str, Any]:
    """What one balancer distributes over the hosts, from their variables.

    Args:
        hosts: the variables of each host of the service.
        balancer: the inventory's name of the balancer.
        ports: balancer_ports.
        offset: balancer_port_offset.
        metrics_port: balancer_metrics_port.

    Returns:
        services: one for each name of an instance: its name, port, the Host header of checks,
        timeout (seconds) and servers (name, address, port, tls).
        certificates: hubserving_tls_cert of the hosts.
        problems: one sentence for each thing that cannot work.
    """
    services: dict[str, dict[str, Any]] = {}
    taken = {metrics_port: "balancer_metrics_port"}
    limited: dict[str, list[list[str]]] = {}  # hubserving_hosts of the hosts that have it
    certificates, problems = [], []
    for host in hosts:
        name = str(host["inventory_hostname"])
        if name == balancer:
            held = _held_ports(host)
            taken |= held
            if metrics_port in held:
                problems.append(
                    f"The balancer {balancer} is to have its metrics at port {metrics_port}, which "
                    f"is also the {held[metrics_port]} there: set balancer_metrics_port"
                )
        certificate = host.get("hubserving_tls_cert") or ""
        if certificate and certificate not in certificates:
            certificates.append(certificate)
        for instance in _instances(host):
            service = services.setdefault(
                instance["name"],
                {
                    "name": instance["name"],
                    "port": int(ports.get(instance["name"], instance["port"] + offset)),
                    "host": "balancer",
                    "timeout": 0,
                    "servers": [],
                },
            )
            service["timeout"] = max(
                service["timeout"], int(host.get("hubserving_timeout", _TIMEOUT))
            )
            if names := host.get("hubserving_hosts"):
                limited.setdefault(instance["name"], []).append(list(names))
            server = {**instance, "name": name, "tls": bool(certificate)}
            service["servers"].append(server)
            if name != balancer and is_loopback(instance["address"]):
                problems.append(
                    f"The balancer {balancer} cannot reach {name} at {instance['address']}: set "
                    f"balancer_address of {name} (with hubserving_bind, that) to an address other "
                    "hosts reach"
                )
    for service in services.values():
        port, what = service["port"], f"instance {service['name']}"
        if port in taken:
            problems.append(
                f"The balancer {balancer} is to serve {what} at port {port}, which is also the "
                f"{taken[port]} there: set balancer_port_offset, or balancer_ports for the instance"
            )
        elif not 0 < port < 65536:
            problems.append(
                f"The balancer {balancer} is to serve {what} at port {port}, which is no port: set "
                "balancer_port_offset, or balancer_ports for the instance"
            )
        taken[port] = f"port for {what}"
    for name, lists in limited.items():
        if common := _common(lists):
            services[name]["host"] = common[0]
        else:
            problems.append(
                f"hubserving_hosts of the hosts of instance {name} have no name in common, so "
                "whatever clients of the balancers call it, some host refuses them: add one to all"
            )
    unknown = sorted(set(ports) - set(services))
    if unknown:
        problems.append(
            f"balancer_ports names {', '.join(unknown)}, and no host has such an instance "
            f"({', '.join(services)}): correct or remove it"
        )
    return {
        "services": list(services.values()),
        "certificates": certificates,
        "problems": problems,
    }


def balancer_states(answers: Iterable[Mapping[str, Any]], host: str) -> str:
    """Whether balancers send a host requests: in, out with the reason, or why it is not known.

    Args:
        answers: of module balancer_server with C(queried), each with the balancer as ``item``.
        host: its name in the inventory.
    """
    found = []
    for answer in answers:
        if answer.get("unreachable"):
            state = "not reachable"
        elif "servers" not in answer:
            state = "does not answer"
        else:
            of_instances = answer["servers"].get(host, ["unknown there"])
            is_in = all(each.startswith("UP") for each in of_instances)
            state = "in" if is_in else f"out ({', '.join(of_instances)})"
        found.append(f"{answer['item']}: {state}")
    return ", ".join(found)


def balancer_pem(paths: Iterable[str]) -> str:
    """The texts of files on the control node, one after the other; raises OSError."""
    texts = [Path(path).expanduser().read_text(encoding="utf-8").strip() for path in paths]
    return "".join(f"{text}\n" for text in texts)


class FilterModule:
    """Filters of the role balancer."""

    def filters(self) -> dict[str, object]:
        return {
            "balancer_plan": balancer_plan,
            "balancer_states": balancer_states,
            "balancer_pem": balancer_pem,
        }
