"""Checks of a host from what roles/doctor/files/collect.sh printed there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from ..messages import catalogue

_FREE_MB, _MEMORY_MB, _SKEW, _DAYS = 2500, 500, 60, 21
Parts = Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """One check: ``verdict`` is ok, warning or failed, ``found`` what it saw."""

    check: str
    verdict: str
    found: str
    remedy: str = ""


def parts(text: str) -> dict[str, str]:
    """{name: text} of the parts a host printed."""
    pieces = re.split(r"^== (\w+)\r?$", text.replace("\r\n", "\n"), flags=re.MULTILINE)[1:]
    return {name: body.strip() for name, body in zip(pieces[::2], pieces[1::2], strict=True)}


def _docker(found: Parts) -> Iterator[Row]:
    said = found.get("docker", "")
    last = said.splitlines()[-1] if said else "no answer"
    if re.search(r"^Server", said, re.M):
        version = re.search(r"^Server.*?Version: +(\S+)", said, re.M | re.S)
        yield Row("engine", "ok", f"Docker {version[1] if version else ''}".strip())
    elif re.search("not found|No such file", said.split("\n")[0]):
        yield Row(
            "engine", "failed", "docker is not installed", "deploy: role docker_engine installs it"
        )
    else:
        yield Row(
            "engine", "failed", last,
            "read docker_log.txt and daemon_json.txt in the archive; systemctl restart docker",
        )  # fmt: skip


def _daemon_json(found: Parts) -> Iterator[Row]:
    text = found.get("daemon_json", "")
    if text.startswith("{"):
        try:
            json.loads(text)
            yield Row("daemon.json", "ok", "valid JSON")
        except ValueError as error:
            yield Row(
                "daemon.json", "failed", str(error), "correct it, then systemctl restart docker"
            )


def _containers(found: Parts) -> Iterator[Row]:
    try:
        all_of_them = json.loads(found.get("containers", ""))
    except ValueError:
        all_of_them = []
    present = [container for container in all_of_them if not _is_past_task(container)]
    if not all_of_them:
        yield Row("container", "failed", "the service has no container", "playbooks/deploy.yml")
    elif not present:
        yield Row(
            "container", "warning", "no task of the swarm runs here",
            "docker service ps on a manager says why, unless the host is drained",
        )  # fmt: skip
    for container in present:
        yield from _container(container)


def _is_past_task(container: Mapping[str, Any]) -> bool:
    """Whether it is a task that has ended; Swarm keeps the last ones after each update."""
    labels = container.get("Config", {}).get("Labels") or {}
    return "com.docker.swarm.task.id" in labels and not container["State"].get("Running")


def _container(container: Mapping[str, Any]) -> Iterator[Row]:
    state, name = container["State"], f"container {container['Name'].lstrip('/')}"
    health = state.get("Health") or {}
    status = health.get("Status", "no healthcheck")
    looks = health.get("Log") or [{}]
    said = " ".join(str(looks[-1].get("Output", "")).split())[-200:]
    if not state.get("Running"):
        yield Row(
            name, "failed", f"{state['Status']}, exit status {state.get('ExitCode')}",
            "playbooks/start.yml, unless it was stopped on purpose; its log says why it ended",
        )  # fmt: skip
    elif status == "unhealthy":
        cause = catalogue.explain(said, "gpu")
        yield Row(
            name, "failed", f"unhealthy: {said}", cause or "playbooks/logs.yml; then deploy again"
        )
    else:
        yield Row(name, "ok" if status == "healthy" else "warning", f"running, {status}")
    if state.get("OOMKilled"):
        yield Row(
            name,
            "failed",
            "killed for memory",
            "raise hubserving_memory_limit, or lower hubserving_workers",
        )
    if (restarts := container.get("RestartCount", 0)) > 2:
        yield Row(name, "warning", f"restarted {restarts} times", "its log says why it ended")


def _space(found: Parts) -> Iterator[Row]:
    row = found.get("docker_root", "").splitlines()[-1:]
    if row and (numbers := re.search(r"\s(\d+)\s+\d+%\s+(\S+)$", row[0])):
        free = int(numbers[1]) // 1024
        ok = free >= _FREE_MB
        yield Row(
            "disk", "ok" if ok else "failed", f"{free} MiB free at {numbers[2]}",
            "" if ok else "docker system df shows what uses it; remove what is not needed",
        )  # fmt: skip
    if memory := re.search(r"MemAvailable:\s+(\d+)", found.get("memory", "")):
        available = int(memory[1]) // 1024
        ok = available >= _MEMORY_MB
        yield Row(
            "memory", "ok" if ok else "warning", f"{available} MiB available",
            "" if ok else "lower hubserving_workers, or end other programs",
        )  # fmt: skip


def _clock(found: Parts) -> Iterator[Row]:
    if re.fullmatch(r"-?\d+", text := found.get("clock_skew", "")):
        skew = int(text)
        ok = abs(skew) <= _SKEW
        yield Row(
            "clock", "ok" if ok else "warning", f"{skew:+d} s beside this machine",
            "" if ok else "set it: timedatectl set-ntp true",
        )  # fmt: skip


def _gpu(found: Parts) -> Iterator[Row]:
    said = found.get("gpu", "")
    if "Driver Version" in said:
        yield Row("GPU", "ok", re.sub(r"[| ]+", " ", said.splitlines()[2]).strip())
    elif "No such file" not in said and "not found" not in said:
        remedy = catalogue.explain(said, "gpu") or "docs/gpu.md"
        yield Row(
            "GPU", "failed", said.splitlines()[0] if said else "nvidia-smi printed nothing", remedy
        )


def _certificates(found: Parts) -> Iterator[Row]:
    for path, date in re.findall(r"^(\S+) notAfter=(.+)$", found.get("certificates", ""), re.M):
        month, day, clock, year, _ = date.split()
        ends = parsedate_to_datetime(f"{day} {month} {year} {clock} +0000").timestamp()
        days = int((ends - time.time()) // 86400)
        ok = days >= _DAYS
        yield Row(
            "certificate", "ok" if ok else "failed" if days < 0 else "warning",
            f"{path}: {days} days left",
            "" if ok else "renew it, name it in hubserving_tls_cert, and deploy",
        )  # fmt: skip


def _lock(found: Parts) -> Iterator[Row]:
    if found.get("lock", "").startswith("{"):
        yield Row(
            "lock", "warning", "a run holds the lock, or left it",
            "wait for that run; if it is gone, -e deploy_lock_break=true",
        )  # fmt: skip


def _port(port: int) -> Callable[[Parts], Iterator[Row]]:
    def check(found: Parts) -> Iterator[Row]:
        if re.search(rf":(?:{port}|{port:04X})\s", found.get("ports", "")):
            yield Row(f"port {port}", "ok", "something listens")
        else:
            yield Row(f"port {port}", "failed", "nothing listens", "the rows above say why")

    return check


def examine(found: Parts, ports: list[int]) -> list[Row]:
    """All rows of a host, from the parts it printed; ports are those of the service."""
    checks = [_docker, _daemon_json, _containers, *map(_port, ports)]
    checks += [_space, _clock, _gpu, _certificates, _lock]
    return [row for check in checks for row in check(found)]
