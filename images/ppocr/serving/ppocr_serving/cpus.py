"""How many CPUs this container may use: libraries look at the host's and ignore the quota."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _quota(root: Path) -> float:
    """CPUs the cgroup's quota allows (v2, then v1), infinity where there is none."""
    quota, _, period = _read(root / "cpu.max").partition(" ")
    if not quota:
        quota = _read(root / "cpu/cpu.cfs_quota_us")
        period = _read(root / "cpu/cpu.cfs_period_us")
    if not quota.isdigit() or not period.isdigit():
        return math.inf  # "max", -1 or no such file
    return int(quota) / int(period)


def available_cpus(root: Path = _CGROUP) -> int:
    """CPUs to plan threads for: the affinity mask, cut by the container's quota; at least 1."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota(root))))
