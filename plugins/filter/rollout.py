"""Filters of the role rollout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.utils.helpers import pct_to_int

_WORDS = {
    "waiting": "not updated",
    "updating": "lost during the update",
    "done": "done",
    "failed": "FAILED",
}


def rollout_batches(hosts: Sequence[Mapping[str, Any]], serial: Any) -> list[list[str]]:
    """The names of hosts that are updated together, batch by batch.

    First come those with nothing that an update would interrupt (hubserving_replaced); the others
    are divided as the keyword ``serial`` of a play does.

    Args:
        hosts: the variables of the hosts, in order.
        serial: a number, a percentage ("30%"), or a list of them whose last one is repeated.
    """
    sizes = list(serial) if isinstance(serial, (list, tuple)) else [serial]
    rest = [str(host["inventory_hostname"]) for host in hosts if host.get("hubserving_replaced")]
    first = [str(host["inventory_hostname"]) for host in hosts]
    batches = [[name for name in first if name not in rest]]
    while rest:
        size = pct_to_int(sizes[min(len(batches), len(sizes)) - 1], len(hosts))
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


def rollout_serial_error(serial: Any) -> str:
    """One sentence if a value cannot stand for batches, '' if it can."""
    for size in serial if isinstance(serial, (list, tuple)) and serial else [serial]:
        text = str(size)
        number = text[:-1] if text.endswith("%") else text
        if isinstance(size, bool) or not number.isdecimal() or int(number) == 0:
            return (
                f"ppocr_serial is {serial!r}: write how many hosts are updated at a time, as a "
                'number (1), a percentage ("30%") or a list of them ([1, "50%"])'
            )
    return ""


def rollout_table(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line for each host, from its variables: its state, and the containers it runs."""
    lines = []
    for host in hosts:
        state = _WORDS[host.get("__rollout_state", "waiting")]
        runs = (host.get("__rollout_runs") or {}).get("stdout_lines") or []
        lines.append(f"{host['inventory_hostname']}: {'; '.join([state, *runs])}")
    return lines


class FilterModule:
    """Filters of the role rollout."""

    def filters(self) -> dict[str, object]:
        return {
            "rollout_batches": rollout_batches,
            "rollout_serial_error": rollout_serial_error,
            "rollout_table": rollout_table,
        }
