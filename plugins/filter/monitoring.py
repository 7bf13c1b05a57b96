"""Filters of the role monitoring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ppocr_control.instances import EVERYWHERE, instances, is_loopback

#: Defaults of balancer_metrics_bind and balancer_metrics_port: a host's variables lack them.
_METRICS_BIND, _METRICS_PORT = "127.0.0.1", 8404


def monitoring_host(variables: Mapping[str, Any]) -> dict[str, Any]:
    """A host of the service as Prometheus reaches it, from its variables."""
    name, address = variables["inventory_hostname"], _address(variables)
    on_its_network = variables.get("hubserving_network") == "host"
    return {
        "name": name,
        "address": address,
        "targets": [_target(each.address(address), each.port) for each in instances(variables)],
        "token": ([*(variables.get("hubserving_tokens") or []), ""])[0],
        "tls": bool(variables.get("hubserving_tls_cert")),
        "edge": boolean(variables.get("edge_enabled", True)) and not on_its_network,
        "ca": variables.get("ppocr_ca_bundle") or variables.get("hubserving_tls_cert") or "",
    }


def _address(variables: Mapping[str, Any]) -> str:
    local = variables.get("ansible_connection") == "local"
    name: str = variables["inventory_hostname"]
    return variables.get("ansible_host") or ("127.0.0.1" if local else name)


def _target(address: str, port: int) -> str:
    bare = address.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def monitoring_jobs(host: Mapping[str, Any], folder: str) -> list[dict[str, Any]]:
    """A host's part of scrape_configs: the service, and its edge; secrets are files in folder."""
    jobs = [_job(host, folder, "ppocr", "/metrics")]
    if host["edge"]:
        jobs.append(_job(host, folder, "ppocr-edge", "/metrics/edge"))
    return jobs


def _job(host: Mapping[str, Any], folder: str, name: str, path: str) -> dict[str, Any]:
    job: dict[str, Any] = {
        "job_name": f"{name}-{host['name']}",
        "metrics_path": path,
        "scheme": "https" if host["tls"] else "http",
        "static_configs": [{"targets": host["targets"], "labels": {"host": host["name"]}}],
        # Rules and dashboard know the service by this one name.
        "relabel_configs": [{"target_label": "job", "replacement": name}],
    }
    if host["tls"]:
        job["tls_config"] = {"ca_file": f"{folder}/{host['name']}.ca"}
    if host["token"]:
        job["authorization"] = {"credentials_file": f"{folder}/{host['name']}.token"}
    return job


def monitoring_balancers(
    balancers: Iterable[Mapping[str, Any]], watcher: str
) -> dict[str, list[dict[str, str]]]:
    """The balancers whose metrics the watching host can reach, and those it cannot.

    Args:
        balancers: variables of each.
        watcher: name of the host that Prometheus runs on.
    """
    found: dict[str, list[dict[str, str]]] = {"reached": [], "hidden": []}
    for each in balancers:
        name, bind = each["inventory_hostname"], each.get("balancer_metrics_bind", _METRICS_BIND)
        port = int(each.get("balancer_metrics_port", _METRICS_PORT))
        if bind in EVERYWHERE:
            bind = _address(each)
        address = _METRICS_BIND if name == watcher else bind  # where keepalived asks, too
        key = "hidden" if name != watcher and is_loopback(address) else "reached"
        found[key].append({"name": name, "target": _target(address, port)})
    return found


class FilterModule:
    """Filters of the role monitoring."""

    def filters(self) -> dict[str, object]:
        return {
            "monitoring_host": monitoring_host,
            "monitoring_jobs": monitoring_jobs,
            "monitoring_balancers": monitoring_balancers,
        }
