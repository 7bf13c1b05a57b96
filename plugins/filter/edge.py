"""Filters of the role edge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ppocr_contract import pdserving
from ppocr_contract.settings import bare_name
from ppocr_control.instances import published

_LABEL = "org.ppocr.edge"


def edge_containers(
    lines: Iterable[str], instances: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """The edges among containers: ``name``, ``image``, ``network``, whether each is ``running``,
    or is set ``aside`` while the new settings of its successor are tested.

    Args:
        lines: of ``docker ps --format='{{json .}}'``.
        instances: whose edges are wanted; None for those of all.
    """
    wanted = None if instances is None else set(instances)
    found = []
    for row in map(json.loads, lines):
        labels = dict(label.partition("=")[::2] for label in row["Labels"].split(","))
        instance = labels.get(_LABEL, "")
        # A container made by hand from a committed edge has the label, too, under another name.
        names = f"{instance}-edge", f"{instance}-edge-previous"
        if row["Names"] in names and (wanted is None or instance in wanted):
            found.append(
                {
                    "name": row["Names"],
                    "image": row["Image"],
                    "network": row["Networks"],
                    "running": row["State"] == "running",
                    "aside": row["Names"] == names[1],
                }
            )
    return found


def edge_host(name: str) -> str:
    """A name or address of ``hubserving_hosts`` as HAProxy has a request's, without port."""
    bare = bare_name(name)
    return f"[{bare}]" if ":" in bare else bare


def edge_published(port: int, bind: str) -> str:
    """A port of the edge as Docker publishes it, the same on the host."""
    return published(bind, port, port)


def edge_failure(message: str, status: int, shape: str) -> str:
    """What a frontend of the edge answers for an error, as JSON.

    Args:
        message: for the client; without an apostrophe, which ends a text of HAProxy.
        status: of HTTP.
        shape: ``hubserving``, or ``pdserving`` for clients of that.
    """
    told: dict[str, Any] = {"status": "101", "msg": message, "results": ""}
    if shape == "pdserving":
        told = pdserving.failure(message, int(status))
    return json.dumps(told, separators=(",", ":"))


def edge_maintenance_answers(message: str, keys: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What clients get during maintenance, by the first key of each shape."""
    return {names[0]: edge_failure(message, 503, shape) for shape, names in keys.items()}


class FilterModule:
    """Filters of the role edge."""

    def filters(self) -> dict[str, object]:
        return {
            "edge_containers": edge_containers,
            "edge_host": edge_host,
            "edge_published": edge_published,
            "edge_failure": edge_failure,
            "edge_maintenance_answers": edge_maintenance_answers,
        }
