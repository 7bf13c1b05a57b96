"""A share of a CPU for a step and its containers: how a slow machine is tried on a fast one.

Uses the CPU controller directly (as root, cgroup v1 or v2): there may be no systemd to ask.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000  # microseconds
#: The group containers of a test are started in (docker run --cgroup-parent); see tests/containers.
VARIABLE = "PPOCR_TEST_CGROUP"


@contextlib.contextmanager
def share(name: str, cpus: float) -> Iterator[Path]:
    """A group of processes that together get ``cpus`` CPUs; yields the file a process is added by.

    Raises:
        OSError: the controller cannot be used (not root, or not mounted).
    """
    legacy = (_ROOT / "cpu").is_dir()
    group = (_ROOT / "cpu" if legacy else _ROOT) / f"ppocr-test-{name}"
    own = group if legacy else group / "step"  # v2: no processes beside groups within a group
    if not legacy:
        (_ROOT / "cgroup.subtree_control").write_text("+cpu")
    group.mkdir(exist_ok=True)
    quota = int(cpus * _PERIOD)
    if legacy:
        (group / "cpu.cfs_quota_us").write_text(str(quota))
    else:
        (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
        own.mkdir(exist_ok=True)
    try:
        yield own / "cgroup.procs"
    finally:
        for folder in (own, group):
            with contextlib.suppress(OSError):  # a process that is still ending keeps it
                folder.rmdir()


def environment(name: str) -> dict[str, str]:
    """Variables for the step, so that its containers share its CPUs."""
    return {VARIABLE: f"/ppocr-test-{name}"}


def container_options() -> list[str]:
    """Options of ``docker run`` for a container of the step that runs this."""
    group = os.environ.get(VARIABLE)
    return [f"--cgroup-parent={group}"] if group else []
