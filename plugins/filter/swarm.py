"""Filters of the role swarm."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def swarm_strays(text: str, known: Iterable[str], label: str, stack: str) -> list[dict[str, Any]]:
    """The nodes that get tasks of a stack and that no host of the run is.

    Args:
        text: of ``docker node inspect``.
        known: IDs of the nodes that the hosts of the run are.
        label: the label of nodes that get tasks; its value is the stack.
        stack: name of the stack.

    Returns:
        For each its ``id`` and ``name``, which a host that joined anew shares, and whether it
        ``is_up``.
    """
    own = set(known)
    return [
        {
            "id": node["ID"],
            "name": node["Description"]["Hostname"],
            "is_up": node["Status"]["State"] == "ready",
        }
        for node in json.loads(text)
        if node["ID"] not in own and (node["Spec"].get("Labels") or {}).get(label) == stack
    ]


class FilterModule:
    """Filters of the role swarm."""

    def filters(self) -> dict[str, object]:
        return {"swarm_strays": swarm_strays}
