"""Whether a second container of the service fits beside the one that serves."""

from __future__ import annotations

import re


def hubserving_room(text: str) -> str:
    """Say why another container like the present one does not fit, or '' where it does.

    A second one is taken to need what the first one has. What a card's other processes hold counts
    with it, since the driver tells a container nothing about them.

    Args:
        text: read in the container (tasks/room.yml): memory.stat of its cgroup, version 1 or 2
            (bytes), MemAvailable of the host (kB), and for each card it sees a line ``gpu 0, 3100,
            12900``: number, MiB in use, MiB free.
    """
    used = re.search(r"(?m)^(?:anon|total_rss) (\d+)$", text)
    free = re.search(r"(?m)^MemAvailable: *(\d+) kB$", text)
    if used and free and int(free[1]) * 1024 < int(used[1]):
        return (
            f"the host has {int(free[1]) // 1024} MiB of memory left and the service uses "
            f"{int(used[1]) // 2**20} MiB"
        )
    for card in re.finditer(r"(?m)^gpu (\d+), (\d+), (\d+)$", text):
        if int(card[3]) < int(card[2]):
            return f"GPU {card[1]} has {card[3]} MiB left and {card[2]} MiB in use"
    return ""


class FilterModule:
    """Filter of the role hubserving."""

    def filters(self) -> dict[str, object]:
        return {"hubserving_room": hubserving_room}
