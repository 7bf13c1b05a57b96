"""Filters of the role monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppocr_control.instances import instances


def monitoring_host(variables: Mapping[str, Any]) -> dict[str, Any]:
    """A host of the service as Prometheus reaches it, from its variables."""
    name = variables["inventory_hostname"]
    local = variables.get("ansible_connection") == "local"
    address = variables.get("ansible_host") or ("127.0.0.1" if local else name)
    return {
        "name": name,
        "address": address,
        "targets": [_target(each.address(address), each.port) for each in instances(variables)],
        "token": ([*(variables.get("hubserving_tokens") or []), ""])[0],
        "tls": bool(variables.get("hubserving_tls_cert")),
        "ca": variables.get("ppocr_ca_bundle") or variables.get("hubserving_tls_cert") or "",
    }


def _target(address: str, port: int) -> str:
    bare = address.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def monitoring_job(host: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """A host's part of scrape_configs; secrets are files of its name in folder."""
    job: dict[str, Any] = {
        "job_name": f"ppocr-{host['name']}",
        "scheme": "https" if host["tls"] else "http",
        "static_configs": [{"targets": host["targets"], "labels": {"host": host["name"]}}],
        # Rules and dashboard know the service by this one name.
        "relabel_configs": [{"target_label": "job", "replacement": "ppocr"}],
    }
    if host["tls"]:
        job["tls_config"] = {"ca_file": f"{folder}/{host['name']}.ca"}
    if host["token"]:
        job["authorization"] = {"credentials_file": f"{folder}/{host['name']}.token"}
    return job


class FilterModule:
    """Filters of the role monitoring."""

    def filters(self) -> dict[str, object]:
        return {"monitoring_host": monitoring_host, "monitoring_job": monitoring_job}
