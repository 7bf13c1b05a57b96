#!/usr/bin/python
"""Ansible module: which process or container holds a TCP port of this host.

No ss or lsof: /proc/net/tcp{,6} gives the listening sockets,
/proc/<pid>/fd their owners, and the Docker socket, where one answers, the containers behind
docker-proxy or behind a forwarding rule that no process shows.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.ppocr_hosts.docker_engine_socket import SOCKET, engine_get

DOCUMENTATION = r"""
module: preflight_ports
short_description: Tell what holds TCP ports of this host
description: Reads procfs and the Docker socket. Changes nothing.
options:
  wanted:
    description: What is to listen, each with C(name) (of the container), C(port), may be C(bind).
    type: list
    elements: dict
    required: true
  bind:
    description: Address of those that name none.
    type: str
    default: 0.0.0.0
  label:
    description: A container with this label is one of ours.
    type: str
    required: true
  socket:
    description: The Docker socket.
    type: str
    default: /var/run/docker.sock
"""

EXAMPLES = r"""
- name: Check who uses the ports
  preflight_ports:
    wanted:
      - {name: ppocr, port: 8866}
    label: org.ppocr.content
"""

RETURN = r"""
conflicts:
  description: One entry for each wanted port held by something that is not ours.
  type: list
  returned: always
held:
  description: As conflicts, for ports held by our own containers.
  type: list
  returned: always
"""


_LISTEN = "0A"
# Labels of our containers, and how their names go on behind the instance's
_OWN = {
    "org.ppocr.instance": ("", "-candidate", "-previous"),
    "org.ppocr.edge": ("-edge", "-edge-previous"),
}
_ANY = ("0.0.0.0", "::", "")  # noqa: S104 compared, not bound


def hex_address(text):
    """Return (ip, port) of an address as /proc/net/tcp writes it: 0100007F:22A2."""
    raw_ip, raw_port = text.split(":")
    words = [raw_ip[i : i + 8] for i in range(0, len(raw_ip), 8)]
    # each 32-bit word is in the byte order of the machine; every host here is little-endian
    packed = b"".join(bytes.fromhex(word)[::-1] for word in words)
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    ip = socket.inet_ntop(family, packed)
    return (ip[7:] if ip.startswith("::ffff:") else ip), int(raw_port, 16)


def parse_listeners(text):
    """Return [(ip, port, inode)] of the sockets that listen in a /proc/net/tcp table."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN:
            ip, port = hex_address(fields[1])
            found.append((ip, port, fields[9]))
    return found


def clashes(wanted, held):
    """Return whether binding address `wanted` fails while `held` listens on the same port."""
    return wanted in _ANY or held in _ANY or wanted == held


def is_ours(container, name, names, label):
    """Return whether a container may give up the port of instance `name` to us.

    Ours is the container of that very name, one that holds an instance or its edge, whatever the
    inventory says now (role hubserving takes away those it no longer names), and one with our
    label under a name of ours.
    """
    labels = container["labels"]
    held = [labels[key] + end for key, ends in _OWN.items() if key in labels for end in ends]
    if container["name"] in [name, *held]:
        return True
    return label in labels and any(
        container["name"] == known or re.match(re.escape(known) + r"[-._]", container["name"])
        for known in names
    )


def container_id_in(cgroup_text):
    """Return the container ID named in the text of /proc/<pid>/cgroup, or ''."""
    match = re.search(r"(?:docker[-/]|/)([0-9a-f]{64})", cgroup_text)
    return match.group(1) if match else ""


def _read(path):
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _entries(folder):
    try:
        return list(folder.iterdir())
    except OSError:
        return []  # the process ended meanwhile, or is not ours to see


def listeners():
    """Return the listening TCP sockets of this network namespace."""
    return [
        item for name in ("tcp", "tcp6") for item in parse_listeners(_read(f"/proc/net/{name}"))
    ]


def socket_owners(inodes):
    """Return {inode: pid} for those of the inodes a visible process holds."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[str, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        for fd in _entries(process / "fd"):
            try:
                target = os.readlink(fd)  # noqa: PTH115 Path.readlink came with Python 3.9
            except OSError:
                continue  # closed meanwhile
            if target in wanted:
                owners.setdefault(wanted[target], int(process.name))
    return owners


def containers(path):
    """Return [{id, name, labels: {}, ports: [(ip, port)]}] of what runs; [] without engine."""
    try:
        answer = engine_get(path, "/containers/json")
    except (OSError, ValueError):
        return []
    return [
        {
            "id": item["Id"],
            "name": (item.get("Names") or [""])[0].lstrip("/"),
            "labels": item.get("Labels") or {},
            "ports": [
                (port.get("IP", ""), port["PublicPort"])
                for port in item.get("Ports") or []
                if port.get("PublicPort") and port.get("Type") == "tcp"
            ],
        }
        for item in answer
    ]


def describe_process(pid):
    """Return 'process nginx (PID 812: nginx -g daemon off)'."""
    if not pid:
        return "a process that even root cannot see here (another PID namespace?)"
    name = _read(f"/proc/{pid}/comm").strip() or "?"
    command = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
    shown = f": {command[:160]}" if command else ""
    return f"process {name} (PID {pid}{shown})"


def holder(port, bind, sockets, owners, running):
    """Return (text, container or None) for what holds port, or None when it is free."""
    for container in running:
        if any(number == port and clashes(bind, ip) for ip, number in container["ports"]):
            return "container " + container["name"], container
    for ip, number, inode in sockets:
        if number != port or not clashes(bind, ip):
            continue
        pid = owners.get(inode)
        inside = container_id_in(_read(f"/proc/{pid}/cgroup")) if pid else ""
        for container in running:
            if inside and container["id"] == inside:
                return f"container {container['name']}, {describe_process(pid)}", container
        return describe_process(pid), None
    return None


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "list", "elements": "dict", "required": True},
            "bind": {"type": "str", "default": "0.0.0.0"},  # noqa: S104 as above
            "label": {"type": "str", "required": True},
            "socket": {"type": "str", "default": SOCKET},
        },
        supports_check_mode=True,
    )
    wanted = module.params["wanted"]
    names = [str(item["name"]) for item in wanted]
    running = containers(module.params["socket"])
    ports = {int(item["port"]) for item in wanted}
    sockets = [item for item in listeners() if item[1] in ports]
    owners = socket_owners([inode for _ip, _port, inode in sockets]) if sockets else {}

    conflicts: list[dict] = []
    held: list[dict] = []
    for item in wanted:
        port, bind = int(item["port"]), str(item.get("bind") or module.params["bind"])
        bind = bind.strip("[]")
        found = holder(port, bind, sockets, owners, running)
        if not found:
            continue
        text, container = found
        ours = container is not None and is_ours(
            container, str(item["name"]), names, module.params["label"]
        )
        (held if ours else conflicts).append({"name": item["name"], "port": port, "by": text})
    module.exit_json(changed=False, conflicts=conflicts, held=held)


if __name__ == "__main__":
    main()
