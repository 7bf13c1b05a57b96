"""Filters of the role kubernetes: an instance of the service as objects of Kubernetes.

Objects are built as data and written by a YAML library: no value can break out of its place.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from ppocr_contract import resources

#: Where the container expects what is mounted.
_CONFIG, _SCRATCH = "/etc/ppocr", {"tmp": ("/tmp", "256Mi"), "run": ("/run/ppocr", "64Mi")}  # noqa: S108
#: Period of a probe, and delay before a pod gets SIGTERM (preStop): until then other nodes may
#: still send it requests. In seconds.
_PERIOD, _LEAVE_SECONDS = 10, 5
#: A Service's name (RFC 1035), with room for what Kubernetes appends.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,51}[a-z0-9])?")


def kubernetes_name(name: str) -> str:
    """The name of an instance as Kubernetes takes it; '' where it can be none."""
    adapted = re.sub(r"[_.]", "-", name.lower())
    return adapted if _NAME.fullmatch(adapted) else ""


def kubernetes_objects(
    described: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The objects of all instances.

    Args:
        described: ``hubserving_described``: what the containers would get on a host.
        settings: ``_kubernetes_settings`` of the role.
    """
    return [each for instance in described for each in _objects(instance, settings)]


def _objects(instance: Mapping[str, Any], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    name = kubernetes_name(instance["name"])
    secrets = _secrets(name, instance["secrets"])
    # A drain of a node takes one pod at a time, and is not held up by a single one.
    budget = {"maxUnavailable": 1, "selector": _selector(name)}
    specs = {
        "Deployment": ("apps/v1", _deployment(name, instance, settings)),
        "Service": ("v1", _service(name, instance, settings)),
        "PodDisruptionBudget": ("policy/v1", budget),
    }
    if settings["networks"]:
        policy = _network_policy(name, instance["port"], settings["networks"])
        specs["NetworkPolicy"] = ("networking.k8s.io/v1", policy)
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "data": dict(instance["files"])},
        *({"apiVersion": "v1", "kind": "Secret", **secret} for secret in secrets.values()),
        *({"apiVersion": v, "kind": kind, "spec": spec} for kind, (v, spec) in specs.items()),
    ]
    names = [name, *secrets, *(name for _ in specs)]
    namespace = {"namespace": settings["namespace"]} if settings["namespace"] else {}
    return [
        {"metadata": {"name": own, **namespace, "labels": _labels(name)}, **each}
        for own, each in zip(names, objects, strict=True)
    ]


def kubernetes_file(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest as a file: its ``name``, its ``text``, and whether it is ``secret``."""
    kind, name = str(manifest["kind"]), manifest["metadata"]["name"]
    text = yaml.dump(_plain(manifest), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return {"name": f"{name}-{kind.lower()}.yaml", "text": text, "secret": kind == "Secret"}


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "ppocr", "app.kubernetes.io/instance": name}


def _selector(name: str) -> dict[str, Any]:
    return {"matchLabels": _labels(name)}


def _secrets(name: str, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Secrets by their names: tokens, and a certificate in the type that tools renew."""
    tokens = {key: text for key, text in files.items() if key == "tokens"}
    tls = {key: text for key, text in files.items() if key != "tokens"}
    found = {
        f"{name}-tokens": {"type": "Opaque", "stringData": tokens},
        f"{name}-tls": {"type": "kubernetes.io/tls", "stringData": tls},
    }
    return {own: secret for own, secret in found.items() if secret["stringData"]}


def _deployment(
    name: str, instance: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    # A new pod starts beside the old one; with GPUs it could wait for ever for a card.
    rolling = {"maxSurge": 0, "maxUnavailable": 1} if instance["cards"] else {"maxUnavailable": 0}
    read_once = {k: v for k, v in instance["secrets"].items() if k != "tokens"}  # tokens are reread
    content = json.dumps([instance["files"], read_once], sort_keys=True)
    annotations = {"org.ppocr.config": hashlib.sha256(content.encode()).hexdigest()}
    return {
        "replicas": int(settings["replicas"]),
        "selector": _selector(name),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        "progressDeadlineSeconds": int(settings["start_seconds"]) + 60,
        "template": {
            "metadata": {"labels": _labels(name), "annotations": annotations},
            "spec": _pod(name, instance, settings),
        },
    }


def _pod(name: str, instance: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    user = int(instance["user"])
    chosen = {
        # true of YAML is the label "true".
        "nodeSelector": {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in settings["node_selector"].items()
        },
        "runtimeClassName": settings["runtime_class"],
    }
    return {
        **{key: value for key, value in chosen.items() if value},
        "automountServiceAccountToken": False,
        # Those of a Service called ppocr would be taken for settings of the container.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _LEAVE_SECONDS + int(settings["stop_seconds"]),
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "fsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(instance, settings)],
        "volumes": [
            {"name": "config", "projected": {"defaultMode": 0o440, "sources": [
                {"configMap": {"name": name}},
                *({"secret": {"name": own}} for own in _secrets(name, instance["secrets"])),
            ]}},
            *({"name": volume, "emptyDir": {"medium": "Memory", "sizeLimit": size}}
              for volume, (_, size) in _SCRATCH.items()),
        ],
    }  # fmt: skip


def _container(instance: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    environment = _environment(instance)
    limits = {"memory": str(resources.size(instance["memory_limit"]))}
    if instance["cards"]:
        limits["nvidia.com/gpu"] = str(len(instance["cards"]))
    return {
        "name": "ppocr",
        "image": settings["image"],
        "imagePullPolicy": "Never",  # playbooks/ship.yml brings it
        "args": [str(word) for word in instance["command"]],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "ports": [{"name": "http", "containerPort": int(instance["port"])}],
        "resources": {"limits": limits, "requests": dict(limits)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **_probes(environment, settings),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_LEAVE_SECONDS)]}}},
        "volumeMounts": [
            {"name": "config", "mountPath": _CONFIG, "readOnly": True},
            *({"name": volume, "mountPath": path} for volume, (path, _) in _SCRATCH.items()),
        ],
    }


def _environment(instance: Mapping[str, Any]) -> dict[str, str]:
    """The container's, but for what the cluster does instead.

    A NetworkPolicy knows the networks: the kubelet's probes come from the node. The kubelet starts
    what failed again, and waits longer each time. A pod's cards are numbered from 0.
    """
    changed = {"PPOCR_ALLOW_NETWORKS": "", "PPOCR_MAX_FAILURES": "0"}
    if cards := instance["cards"]:
        changed["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(len(cards))))
    return {key: str(value) for key, value in {**instance["environment"], **changed}.items()}


def _probes(environment: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Started and ready once every module read a picture; alive while the process answers.

    Plain ``hub serving`` has no such paths: the image's own healthcheck asks it to read.
    """
    healthcheck = "echo 1000 > /proc/self/oom_score_adj; exec python -m ppocr_serving.healthcheck"
    ready: dict[str, Any] = {"exec": {"command": ["sh", "-c", healthcheck]}}
    live = ready
    if environment["PPOCR_SERVER"] == "gunicorn":
        scheme = {"scheme": "HTTPS"} if environment["PPOCR_TLS_CERT"] else {}
        # The only names that are answered
        names = [{"name": "Host", "value": name} for name in settings["hosts"][:1]]
        common = {"port": "http", **scheme, **({"httpHeaders": names} if names else {})}
        ready = {"httpGet": {"path": "/readyz", **common}}
        live = {"httpGet": {"path": "/livez", **common}}
    timing = {"periodSeconds": _PERIOD, "timeoutSeconds": 12}  # as the image's own healthcheck
    patience = math.ceil(int(settings["start_seconds"]) / _PERIOD)
    return {
        "startupProbe": {**ready, **timing, "failureThreshold": patience},
        "readinessProbe": {**ready, **timing},
        "livenessProbe": {**live, **timing, "failureThreshold": 6},
    }


def _service(name: str, instance: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    if settings["networks"] and settings["service_type"] != "ClusterIP":
        kept = {"externalTrafficPolicy": "Local"}  # otherwise the client's address is a node's
    return {
        "type": settings["service_type"],
        **kept,
        "selector": _labels(name),
        "ports": [
            {"name": name, "port": int(instance[key]), "targetPort": "http"}
            for name, key in (("http", "port"), ("pdserving", "pdserving_port"))
            if instance[key]
        ],
    }


def _network_policy(name: str, port: int, networks: Iterable[str]) -> dict[str, Any]:
    sources = [{"ipBlock": {"cidr": str(ipaddress.ip_network(network))}} for network in networks]
    return {
        "podSelector": _selector(name),
        "policyTypes": ["Ingress"],
        "ingress": [{"from": sources, "ports": [{"port": int(port)}]}],
    }


def _plain(value: Any) -> Any:
    """Values without Ansible's types, which the YAML library does not know."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Iterable):
        return [_plain(each) for each in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Quotes every text that some reader of YAML might take for a number or a truth value."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9./_-]{2,}", text)
    style = "|" if "\n" in text else None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


class FilterModule:
    """Filters of the role kubernetes."""

    def filters(self) -> dict[str, object]:
        return {
            "kubernetes_name": kubernetes_name,
            "kubernetes_objects": kubernetes_objects,
            "kubernetes_file": kubernetes_file,
        }
