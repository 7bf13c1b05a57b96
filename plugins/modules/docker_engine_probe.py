#!/usr/bin/python
"""Ansible module: does a Docker engine answer on this host, and what is it?"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.ppocr_hosts.docker_engine_socket import (
    SOCKET,
    dockerd_processes,
    engine_get,
    find_binary,
    process_path,
    process_start,
    service_kind,
)

DOCUMENTATION = r"""
module: docker_engine_probe
short_description: Tell whether a Docker engine answers on this host
description:
  - Asks the engine over its socket. Needs no client and no Python packages. Changes nothing.
  - A docker client without a daemon is not an engine.
options:
  wait:
    description: Seconds to wait until an engine answers.
    type: int
    default: 0
  not_pid:
    description: A dockerd with this process ID does not count (the one before a restart).
    type: int
    default: 0
  proxy:
    description: The HTTP proxy dockerd is to use; empty for any.
    type: str
    default: ""
  programs:
    description: Programs dockerd looks for on its PATH when it starts, and only then.
    type: list
    elements: str
    default: []
  socket:
    description: The engine's socket.
    type: str
    default: /var/run/docker.sock
"""

EXAMPLES = r"""
- name: Wait for the engine
  docker_engine_probe:
    wait: 60
"""

RETURN = r"""
answers:
  description: Whether an engine answers.
  type: bool
  returned: always
installed:
  description: Path of dockerd, empty when there is none.
  type: str
  returned: always
service:
  description: systemd, init, or empty when no service named docker is there.
  type: str
  returned: always
pid:
  description: Process ID of dockerd, 0 when none is seen.
  type: int
  returned: always
error:
  description: Why no engine answers.
  type: str
  returned: always
version:
  description: The engine's version.
  type: str
  returned: always
data_root:
  description: Where it keeps its data.
  type: str
  returned: always
proxy_in_use:
  description: Whether dockerd was started with the wanted proxy. True when none is wanted or seen.
  type: bool
  returned: always
swarm:
  description: Whether it belongs to a swarm.
  type: bool
  returned: always
running:
  description: Names of the containers that run.
  type: list
  returned: always
cdi:
  description: Whether it takes devices by CDI, the Container Device Interface.
  type: bool
  returned: always
missing_programs:
  description: Those of programs that are not on dockerd's PATH.
  type: list
  returned: always
new_programs:
  description: Those of programs that were installed after dockerd started.
  type: list
  returned: always
"""


def ask(socket):
    """Return what the engine at socket says of itself; raises OSError or ValueError."""
    version = engine_get(socket, "/version")
    info = engine_get(socket, "/info")
    containers = engine_get(socket, "/containers/json")
    return {
        "version": str(version.get("Version", "")),
        "data_root": info.get("DockerRootDir", ""),
        "swarm": (info.get("Swarm") or {}).get("LocalNodeState", "inactive") != "inactive",
        "running": sorted((item.get("Names") or ["?"])[0].lstrip("/") for item in containers),
        "cdi": bool(info.get("CDISpecDirs")),
    }


def uses_proxy(pid, proxy):
    """Return whether process pid was started with HTTP_PROXY=proxy; True when it cannot be seen."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return True
    return b"HTTP_PROXY=" + proxy.encode("utf-8") in environ


def look_for_programs(names, pid):
    """Return (missing, new) of the programs that process pid looked for when it started.

    A second is allowed for, to which the start is known. Without such a process none is new.
    """
    folders, started = process_path(pid), process_start(pid)
    missing, new = [], []
    for name in names:
        path = shutil.which(name, path=folders)
        if path is None:
            missing.append(name)
        elif started and Path(path).stat().st_ctime > started + 1:
            new.append(name)
    return missing, new


def probe(socket, not_pid):
    """Return the state of the engine, with answers false and error where there is none."""
    result = {"version": "", "data_root": "", "swarm": False, "running": [], "cdi": False}
    pids = [pid for pid, _argv in dockerd_processes()]
    result.update(answers=False, pid=pids[0] if pids else 0, error="")
    if not_pid and not_pid in pids:
        result["error"] = f"dockerd (PID {not_pid}) has not stopped"
        return result
    try:
        result.update(ask(socket), answers=True)
    except (OSError, ValueError) as error:
        result["error"] = str(error)
    return result


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "wait": {"type": "int", "default": 0},
            "not_pid": {"type": "int", "default": 0},
            "proxy": {"type": "str", "default": "", "no_log": True},
            "programs": {"type": "list", "elements": "str", "default": []},
            "socket": {"type": "str", "default": SOCKET},
        },
        supports_check_mode=True,
    )
    deadline = time.monotonic() + module.params["wait"]
    while True:
        result = probe(module.params["socket"], module.params["not_pid"])
        if result["answers"] or time.monotonic() >= deadline:
            break
        time.sleep(1)
    wanted = module.params["proxy"]
    result["proxy_in_use"] = not (wanted and result["pid"]) or uses_proxy(result["pid"], wanted)
    missing, new = look_for_programs(module.params["programs"], result["pid"])
    result.update(missing_programs=missing, new_programs=new)
    module.exit_json(
        changed=False, installed=find_binary("dockerd"), service=service_kind(), **result
    )


if __name__ == "__main__":
    main()
