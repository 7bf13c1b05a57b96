"""Disk space an image needs on a host's file systems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable


def shortages(df_lines: list[str], needed_bytes: list[int]) -> list[str]:
    """Return which file systems have too little free space.

    Args:
        df_lines: ``df --block-size=1 --output=target,avail`` of the folders, without its header.
        needed_bytes: bytes needed in each of those folders; folders on one file system add up.

    Returns:
        A phrase for each file system with too little space: needed and free in MB.
    """
    free: dict[str, int] = {}
    needed: dict[str, int] = defaultdict(int)
    for line, amount in zip(df_lines, needed_bytes, strict=True):
        mount, _, available = line.rpartition(" ")
        free[mount.strip()] = int(available)
        needed[mount.strip()] += int(amount)
    return [
        f"{mount}: needed {needed[mount] / 1e6:.0f} MB, free {free[mount] / 1e6:.0f} MB"
        for mount in needed
        if needed[mount] > free[mount]
    ]


def to_unpack(raw_sizes: Iterable[int]) -> int:
    """Return the bytes an engine needs for layers of these sizes (in bytes, unpacked)."""
    total = sum(raw_sizes)
    return int(1.05 * total) + (16 << 20 if total else 0)
