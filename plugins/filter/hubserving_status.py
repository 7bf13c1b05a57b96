"""Filters of the role hubserving: the state of its containers, as people read it."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

_SAMPLE = re.compile(r"^(ppocr_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


def hubserving_status_row(
    container: dict[str, Any],
    host: str,
    engine: str,
    counted: list[dict[str, Any]] | None = None,
    balancers: str = "",
) -> dict[str, Any]:
    """One instance in short, from ``docker inspect`` (``{}`` where there is no container).

    Times are the control node's local time with its offset from UTC, for hosts in any zone.

    Args:
        container: what is inspected.
        host: its name in the inventory.
        engine: version of its engine.
        counted: results of reading the containers' metrics, each with the container as ``item``.
        balancers: whether the balancers send the host requests; empty without any.
    """
    if not container:
        return {"host": host, "state": "absent", "engine": engine}
    state, settings, labels = container["State"], container["Config"], _labels(container)
    metrics = "".join(
        each.get("stdout", "")
        for each in counted or []
        if each["item"]["Name"] == container["Name"]
    )
    return {
        "host": host,
        "container": container["Name"].lstrip("/"),
        "state": _state_words(state),
        "health": _health(state),
        "restarts": container.get("RestartCount", 0),
        **_load(metrics),
        **({"balancers": balancers} if balancers else {}),
        "oom": bool(state.get("OOMKilled")),
        "image": settings["Image"],
        "content": labels.get("org.ppocr.content", "")[:12],
        "version": labels.get("org.opencontainers.image.version", ""),
        "device": labels.get("org.ppocr.device", ""),
        "engine": engine,
        "since": _local(state.get("FinishedAt" if _has_ended(state) else "StartedAt", "")),
        **_last_check(state),
    }


def _load(text: str) -> dict[str, str]:
    """The requests a container has answered since it started, and the time 95 % of them took.

    Args:
        text: its metrics; '-' for both where there are none, as with plain ``hub serving``.
    """
    samples = [(name, labels, float(value)) for name, labels, value in _SAMPLE.findall(text)]
    counts = [value for name, _, value in samples if name == "ppocr_requests_total"]
    buckets: dict[float, float] = {}
    for name, labels, value in samples:
        if name == "ppocr_request_seconds_bucket":
            bound = float(re.findall(r'le="([^"]+)"', labels)[0])
            buckets[bound] = buckets.get(bound, 0) + value
    requests = f"{sum(counts):.0f}" if samples else "-"
    return {"requests": requests, "p95": _quantile(sorted(buckets.items()), 0.95)}


def _quantile(buckets: list[tuple[float, float]], share: float) -> str:
    """The time that a share of the requests did not exceed, as Prometheus estimates it."""
    if not buckets or not (total := buckets[-1][1]):
        return "-"
    lower = before = 0.0
    for bound, count in buckets:
        if count >= share * total:
            break
        lower, before = bound, count
    if bound == float("inf"):
        return f"over {lower:g} s"
    return f"{lower + (bound - lower) * (share * total - before) / (count - before):.2f} s"


def _has_ended(state: dict[str, Any]) -> bool:
    return state["Status"] in ("exited", "dead")


def _state_words(state: dict[str, Any]) -> str:
    """The container's state; where it has ended, whether an operator or a fault ended it.

    The engine keeps no record of who ended it. The service ends with 0, and a command that SIGTERM
    ends with 143, only when they are told to stop.
    """
    if not _has_ended(state):
        return str(state["Status"])
    code = state.get("ExitCode", 0)
    if state.get("Error"):
        return f"failed to start (exit status {code})"
    if state.get("OOMKilled"):
        return f"crashed (out of memory, exit status {code})"
    if code == 137:  # by docker stop after its timeout, or by anybody else
        return "killed (exit status 137)"
    return "stopped by an operator" if code in (0, 143) else f"crashed (exit status {code})"


def _health(state: dict[str, Any]) -> str:
    """What Docker holds of it; '-' where nothing runs: the engine keeps what it found before."""
    return "-" if _has_ended(state) else (state.get("Health") or {}).get("Status", "none")


def _local(text: str) -> str:
    """A time as the engine writes it, in local time with its offset; '' for none."""
    if not text or text.startswith("0001-"):  # the engine's word for never
        return ""
    return _moment(text).astimezone().isoformat(sep=" ", timespec="seconds")


def _last_check(state: dict[str, Any]) -> dict[str, str]:
    """The output of the last healthcheck: the models' devices, or why it is not ready."""
    if _has_ended(state):
        return {"runs on": "", "reason": state.get("Error", "")}
    checks = (state.get("Health") or {}).get("Log") or [{}]
    said = str(checks[-1].get("Output", "")).strip()
    try:
        devices = json.loads(said)["modules"].values()
    except (ValueError, KeyError, TypeError, AttributeError):
        _, found, reason = said.rpartition("not ready: ")
        return {"runs on": "", "reason": reason if found else ""}
    return {"runs on": ", ".join(sorted(set(devices))), "reason": ""}


#: What a healthcheck says, or the engine of it, while the service starts.
_SLOW = ("the service is starting", "Health check exceeded timeout")


def hubserving_gave_up(text: str) -> str:
    """The reason of a container that gave up, as a sentence; '' where it has not.

    Args:
        text: its ``.State`` from ``docker inspect``, as JSON; what is none has not given up.
    """
    try:
        state = json.loads(text)
        checks = (state.get("Health") or {}).get("Log") or []
    except (ValueError, AttributeError):
        return ""
    # The engine keeps what healthchecks said before the container was started last: that is over.
    if not checks or _moment(checks[-1]["Start"]) < _moment(state["StartedAt"]):
        return ""
    _, found, said = str(checks[-1].get("Output", "")).rpartition("not ready: gave up ")
    return f"It gave up {said.strip()}." if found else ""


def hubserving_is_starting(text: str) -> bool:
    """Whether a container may yet become healthy.

    After the start period of its healthcheck the engine calls one unhealthy that only starts
    slowly, on a busy host: it is still waited for.

    Args:
        text: as for ``hubserving_gave_up``.
    """
    try:
        state = json.loads(text)
        health = state["Health"]
        if not state["Running"] or hubserving_gave_up(text):
            return False
        if health["Status"] == "unhealthy":
            return any(said in health["Log"][-1]["Output"] for said in _SLOW)
        return bool(health["Status"] == "starting")
    except (ValueError, KeyError, TypeError, IndexError):
        return False


def hubserving_not_healthy(text: str) -> str:
    """Why a container did not become healthy, as a sentence; '' where its state does not say.

    Args:
        text: as for ``hubserving_gave_up``.
    """
    if reason := hubserving_gave_up(text):
        return reason
    try:
        health = json.loads(text)["Health"]
        if health["Status"] != "unhealthy":
            return ""
        last = " ".join(str(health["Log"][-1]["Output"]).split())
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
    return f"Its healthcheck failed {health['FailingStreak']} times in a row, at last with: {last}."


def _moment(text: str) -> datetime.datetime:
    """A time as the engine writes it: nanoseconds, UTC or the host's time zone."""
    seconds, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    if not rest:
        seconds, zone = text[:19], text[19:]
    return datetime.datetime.fromisoformat(seconds + zone.replace("Z", "+00:00"))


def hubserving_table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as lines of a table with a header, columns as wide as their longest value."""
    columns = list(sorted(rows, key=len)[-1]) if rows else []
    cells = [columns] + [[str(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def hubserving_models(host: dict[str, Any]) -> list[dict[str, str]]:
    """The models of each container of a host, from its variables.

    Where there is none, a row says why. Images of former versions do not say what models they have.
    """
    answer = host.get("__hubserving_engine", {}).get("rc")
    none = {None: "not reachable", 0: "absent"}.get(answer, "Docker does not answer")
    containers = host.get("__hubserving_containers") or [{}]
    verdicts = {
        each["item"]["Name"]: each.get("stdout", "")
        for each in host.get("__hubserving_verdicts", {}).get("results", [])
    }
    return [
        {
            "host": host["inventory_hostname"],
            "container": container.get("Name", "").lstrip("/") or none,
            "models": _labels(container).get(
                "org.ppocr.models", "not recorded" if container else ""
            ),
            "precision auto is": _precision(verdicts.get(container.get("Name", ""), "")),
        }
        for container in containers
    ]


def _precision(text: str) -> str:
    """What an image's verdict on its models says, as a sentence; '' where there is none."""
    try:
        verdict = json.loads(text)
        return f"{verdict['precision']}: {verdict['why']}"
    except (ValueError, KeyError, TypeError):
        return ""


def _labels(container: dict[str, Any]) -> dict[str, str]:
    return (container.get("Config") or {}).get("Labels") or {}


class FilterModule:
    """Filters on the state of containers."""

    def filters(self) -> dict[str, object]:
        return {
            "hubserving_status_row": hubserving_status_row,
            "hubserving_gave_up": hubserving_gave_up,
            "hubserving_is_starting": hubserving_is_starting,
            "hubserving_not_healthy": hubserving_not_healthy,
            "hubserving_table": hubserving_table,
            "hubserving_models": hubserving_models,
        }
