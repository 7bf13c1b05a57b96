#!/usr/bin/python
"""Ansible module: free disk, memory, CPU features, cgroup controllers and clock of this host."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.ppocr_hosts.docker_engine_socket import SOCKET, engine_get

DOCUMENTATION = r"""
module: preflight_resources
short_description: Measure what a host has to offer
description: Reads procfs, statvfs and the Docker socket. Changes nothing.
options:
  label:
    description: An image with this label is one of ours.
    type: str
    required: true
  control_epoch:
    description: The control node's clock, seconds since 1970 in UTC.
    type: float
    required: true
  default_root:
    description: Where Docker keeps its data on a host that has no engine and no daemon.json.
    type: str
    default: /var/lib/docker
  daemon_json:
    description: Docker's configuration file.
    type: str
    default: /etc/docker/daemon.json
  socket:
    description: The Docker socket.
    type: str
    default: /var/run/docker.sock
"""

EXAMPLES = r"""
- name: Measure the host
  preflight_resources:
    label: org.ppocr.content
"""

RETURN = r"""
data_root:
  description: Docker's data root, as the engine says or would use.
  type: str
  returned: always
free_mb:
  description: Free space there, in MiB.
  type: int
  returned: always
has_image:
  description: Whether an image of ours is on the host already.
  type: bool
  returned: always
memory_mb:
  description: Memory of the host in MiB.
  type: int
  returned: always
cpu_flags:
  description: Those of avx, avx2 and sse4_2 the CPU has.
  type: list
  returned: always
controllers:
  description: cgroup controllers that are on.
  type: list
  returned: always
skew:
  description: Seconds the host's clock is ahead of the control node's; negative when behind.
  type: float
  returned: always
"""


_MIB = 1024 * 1024


def _read(path):
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def ask_engine(path, url):
    """Return the engine's parsed answer to GET url, or None where no engine answers."""
    try:
        return engine_get(path, url)
    except (OSError, ValueError):
        return None


def configured_root(text):
    """Return data-root (or its old name, graph) of a daemon.json's text, '' when it has none."""
    try:
        config = json.loads(text)
    except ValueError:
        return ""  # docker_engine refuses the file, with line and column
    if not isinstance(config, dict):
        return ""
    return str(config.get("data-root") or config.get("graph") or "")


def nearest_existing(path):
    """Return path or its nearest parent that exists."""
    return str(next(folder for folder in [Path(path), *Path(path).parents] if folder.exists()))


def memory_mb(text):
    """Return MemTotal of /proc/meminfo's text in MiB."""
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def cgroup_controllers(v1_text, v2_text):
    """Return controllers that are on, from /proc/cgroups and /sys/fs/cgroup/cgroup.controllers."""
    found = set(v2_text.split())
    for line in v1_text.splitlines():
        fields = line.split()
        if len(fields) == 4 and not line.startswith("#") and fields[3] == "1":
            found.add(fields[0])
    return sorted(found)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "label": {"type": "str", "required": True},
            "control_epoch": {"type": "float", "required": True},
            "default_root": {"type": "str", "default": "/var/lib/docker"},
            "daemon_json": {"type": "str", "default": "/etc/docker/daemon.json"},
            "socket": {"type": "str", "default": SOCKET},
        },
        supports_check_mode=True,
    )
    params = module.params
    info = ask_engine(params["socket"], "/info") or {}
    root = (
        info.get("DockerRootDir")
        or configured_root(_read(params["daemon_json"]))
        or params["default_root"]
    )
    filters = quote(json.dumps({"label": [params["label"]]}))
    images = ask_engine(params["socket"], "/images/json?filters=" + filters)
    disk = os.statvfs(nearest_existing(root))
    flags = _read("/proc/cpuinfo").split()
    module.exit_json(
        changed=False,
        data_root=root,
        free_mb=disk.f_bavail * disk.f_frsize // _MIB,
        has_image=bool(isinstance(images, list) and images),
        memory_mb=memory_mb(_read("/proc/meminfo")),
        cpu_flags=[flag for flag in ("avx", "avx2", "sse4_2") if flag in flags],
        controllers=cgroup_controllers(
            _read("/proc/cgroups"), _read("/sys/fs/cgroup/cgroup.controllers")
        ),
        skew=round(time.time() - params["control_epoch"], 1),
    )


if __name__ == "__main__":
    main()
