#!/usr/bin/python
"""Ansible module: take hosts out of a balancer, or put them back, through HAProxy's socket."""

from __future__ import annotations

import csv
import re
import socket
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: balancer_server
short_description: Take hosts out of a balancer, or put them back
description:
  - In HAProxy as it runs, and with C(lasting) also in its configuration, so that it stays after a
    reload or restart.
options:
  servers:
    description: Names of the servers, which are the hosts' in the inventory.
    type: list
    elements: str
    required: true
  state:
    description: >-
      C(drained) gives a host no more requests and waits for those it has. C(ready) gives it
      requests again, unless its drain is lasting and C(lasting) is not given, and waits for it to
      be up. C(queried) changes nothing.
    choices: [drained, ready, queried]
    required: true
  lasting:
    description: >-
      Write it into the configuration, too. A host that no other one could stand in for is not taken
      out - with it the module fails, without it it says so.
    type: bool
    default: false
  wait:
    description: Seconds to wait at most; 0 for not waiting.
    type: int
    required: true
  config:
    description: HAProxy's configuration.
    type: path
    required: true
  socket:
    description: HAProxy's runtime socket.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Take a host out
  balancer_server:
    servers: [ocr1]
    state: drained
    wait: 90
    config: /etc/ppocr-balancer/haproxy.cfg
    socket: /run/ppocr-balancer/admin.sock
"""

RETURN = r"""
msg:
  description: What was requested and not done, or the empty text.
  type: str
  returned: always
servers:
  description: States of each server's instances by its name, as HAProxy gives them.
  type: dict
  returned: with queried, where HAProxy answers
"""

_LOOK_EVERY = 0.2
_MARK = " disabled"


class Balancer:
    """A running HAProxy, asked through its socket. Raises OSError where it does not run."""

    def __init__(self, path):
        self._path = path

    def ask(self, command):
        """Return the answer to a command."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(self._path)
            connection.sendall(command.encode() + b"\n")
            parts = iter(lambda: connection.recv(65536), b"")
            return b"".join(parts).decode()

    def rows(self):
        """Return what HAProxy knows of each server, one mapping for each backend it is in."""
        return list(csv.DictReader(self.ask("show stat -1 4 -1").lstrip("# ").splitlines()))

    def named(self, servers):
        return [row for row in self.rows() if row["svname"] in servers]

    def set(self, row, state):
        answer = self.ask(f"set server {row['pxname']}/{row['svname']} state {state}").strip()
        if answer:
            raise OSError(answer)

    def wait(self, servers, seconds, holds):
        """Wait until `holds` is true of every row; return the rows of which it is not."""
        end = time.monotonic() + seconds
        while True:
            others = [row for row in self.named(servers) if not holds(row)]
            if not others or time.monotonic() >= end:
                return others
            time.sleep(_LOOK_EVERY)


def is_up(row):
    """Return whether the server gets requests."""
    return row["status"].startswith("UP")


def marked(text):
    """Return the names of the servers that the configuration keeps out."""
    return set(re.findall(rf"(?m)^ *server (\S+) .*{_MARK}$", text))


def with_marks(text, servers, out):
    """Return the configuration with the servers kept out, or not."""
    lines = []
    for line in text.splitlines():
        fields = line.split()
        if fields[:1] == ["server"] and fields[1] in servers:
            bare = line[: -len(_MARK)] if line.endswith(_MARK) else line
            line = bare + _MARK if out else bare
        lines.append(line)
    return "\n".join(lines) + "\n"


def write(module, path, text):
    """Replace the configuration at once, keeping owner and mode."""
    new = Path(module.tmpdir) / path.name
    new.write_text(text)
    module.atomic_move(str(new), str(path))


def states(balancer):
    """Return the states of the instances of each server."""
    found: dict[str, list[str]] = {}
    for row in balancer.rows():
        found.setdefault(row["svname"], []).append(row["status"])
    return {name: sorted(set(each)) for name, each in found.items()}


def alone(rows, servers):
    """Return the rows of servers beside which no other one is up."""
    others = {row["pxname"] for row in rows if is_up(row) and row["svname"] not in servers}
    return [row for row in rows if row["svname"] in servers and row["pxname"] not in others]


def last_up(balancer, servers):
    """Return those of the servers that alone get requests."""
    try:
        return sorted({row["svname"] for row in alone(balancer.rows(), servers) if is_up(row)})
    except OSError:  # nothing is served there
        return []


def drain(balancer, servers, wait, lasting):
    """Take servers out; return whether anything changed, and a message."""
    rows = balancer.rows()
    kept = [] if lasting else alone(rows, servers)
    chosen = [row for row in rows if row["svname"] in servers and row not in kept]
    changed = [row for row in chosen if not row["status"].startswith(("DRAIN", "MAINT"))]
    for row in changed:
        balancer.set(row, "drain")
    names = {row["svname"] for row in chosen}
    busy = balancer.wait(names, wait, lambda row: row["scur"] == "0")
    if lasting:  # as the configuration has it
        for row in chosen:
            balancer.set(row, "maint")
    said = [
        f"no other host is up for {row['svname']} ({row['pxname']}): it stays in" for row in kept
    ]
    said += [
        f"{row['svname']} ({row['pxname']}) still has {row['scur']} requests after {wait} s "
        "(balancer_drain_timeout)"
        for row in busy
    ]
    return bool(changed), "; ".join(said)


def put_back(balancer, servers, wait):
    """Give servers requests again; return whether anything changed, and which are not up."""
    rows = [row for row in balancer.named(servers) if not is_up(row)]
    for row in rows:  # that are down, too: HAProxy does not say of these that they are drained
        balancer.set(row, "ready")
    changed = any(row["status"].startswith(("DRAIN", "MAINT")) for row in rows)
    return changed, balancer.wait(servers, wait, is_up) if wait else []


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "list", "elements": "str", "required": True},
            "state": {"choices": ["drained", "ready", "queried"], "required": True},
            "lasting": {"type": "bool", "default": False},
            "wait": {"type": "int", "required": True},
            "config": {"type": "path", "required": True},
            "socket": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    asked, config = module.params, Path(module.params["config"])
    servers, lasting, out = set(asked["servers"]), asked["lasting"], asked["state"] == "drained"
    if not config.exists():
        said = "no balancer is set up here yet" if out or lasting else ""  # nor anything taken out
        module.exit_json(changed=False, msg=said)
    if asked["state"] == "queried":
        try:
            module.exit_json(changed=False, msg="", servers=states(Balancer(asked["socket"])))
        except OSError as error:
            module.exit_json(changed=False, msg=f"HAProxy does not answer: {error}")
    text = config.read_text()
    wanted = with_marks(text, servers, out) if lasting else text
    balancer = Balancer(asked["socket"])
    if out and lasting and (last := last_up(balancer, servers)):
        module.fail_json(
            msg=f"no other host is up beside {', '.join(last)}, so nothing would answer. Put "
            "another one back first (playbooks/undrain.yml); playbooks/stop.yml stops the service"
        )
    if module.check_mode:
        module.exit_json(changed=wanted != text, msg="")
    if wanted != text:
        write(module, config, wanted)
    if not out:
        servers -= marked(wanted)  # what was drained by playbooks/drain.yml stays out
    try:
        if out:
            changed, said = drain(balancer, servers, asked["wait"], lasting)
        else:
            changed, down = put_back(balancer, servers, asked["wait"])
            if down:
                module.fail_json(
                    msg="; ".join(
                        f"this balancer finds {row['svname']} ({row['pxname']}, {row['addr']}) "
                        f"{row['status']} ({row['last_chk']})"
                        for row in down
                    )
                    + ". Set balancer_address where the address is not the host's, and run "
                    "playbooks/balancers.yml after a change of hubserving_port or of certificates"
                )
            said = ""
    except OSError as error:
        module.exit_json(
            changed=wanted != text, msg=f"HAProxy (ppocr-balancer) does not answer: {error}"
        )
    module.exit_json(changed=changed or wanted != text, msg=said)


if __name__ == "__main__":
    main()
