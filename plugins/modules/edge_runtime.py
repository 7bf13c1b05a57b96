#!/usr/bin/python
"""Ansible module: tells a running edge which container serves, and what has changed.

Standard library only; speaks HAProxy's runtime API through docker exec.
"""

from __future__ import annotations

import csv
import subprocess
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: edge_runtime
short_description: Tell a running edge which container serves, and what has changed
description:
  - A word is written to the edge's folder first and told to HAProxy then, so that one that starts
    again, or a run that was killed in between, finds it there.
options:
  container: {type: str, required: true, description: The edge's container.}
  folder: {type: path, required: true, description: Its folder on the host.}
  candidate: {type: str, description: The slot that requests with the word are sent to.}
  word: {type: str, default: "", no_log: true, description: That word; empty to send none there.}
  live: {type: str, description: The slot that is to serve; waits for the other to be drained.}
  drain_timeout: {type: int, default: 30, description: Seconds to wait for it.}
  apply: {type: list, elements: str, description: What changed on disk.}
"""

RETURN = r"""
unfinished:
  description: Requests that were on the old slot when drain_timeout was over.
  type: int
  returned: with live
"""

SLOTS = ("a", "b")
LIVE, CANDIDATE, NETWORKS, CERTIFICATE = (
    "/etc/haproxy/" + name for name in ("live.map", "candidate.map", "networks.lst", "tls.pem")
)
_CLIENT = (
    "import socket,sys;s=socket.socket(socket.AF_UNIX);s.settimeout(10);"
    "s.connect('/run/haproxy/admin.sock');s.sendall(sys.stdin.buffer.read());"
    "o=sys.stdout.buffer\nwhile 1:\n b=s.recv(65536)\n if not b: break\n o.write(b)"
)


class RuntimeFault(Exception):
    """HAProxy did not do as it was told; the message has its words."""


class Edge:
    """A running edge: its container, and its folder on the host."""

    def __init__(self, container, folder):
        self._container, self._folder = container, Path(folder)

    def ask(self, command):
        """Return HAProxy's answer to one command of its runtime API."""
        done = subprocess.run(
            ["docker", "exec", "-i", self._container, "python3", "-c", _CLIENT],
            input=command.encode() + b"\n",
            capture_output=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            raise RuntimeFault("{}: {}".format(command.split("\n")[0], done.stderr.decode()[-300:]))
        return done.stdout.decode()

    def tell(self, command):
        """Run a command that answers with nothing where it is done."""
        if answer := self.ask(command).strip():
            raise RuntimeFault("{}: {}".format(command.split("\n")[0], answer))

    def read(self, path):
        """Return the text of one of its files."""
        return (self._folder / Path(path).name).read_text()

    def write(self, path, text):
        """Write one of its files; a reader sees the old one or the new one."""
        target = self._folder / Path(path).name
        new = target.with_name(target.name + ".new")
        new.write_text(text)
        new.chmod(0o644)
        new.replace(target)

    def send_candidate(self, slot, word):
        """Send requests with the word to a slot; without a word send none."""
        text = f"{word} {slot}\n" if word else ""
        if self.read(CANDIDATE) == text:
            return False
        self.write(CANDIDATE, text)
        self.tell("clear map " + CANDIDATE)
        if word:
            self.tell(f"add map {CANDIDATE} {word} {slot}")
        return True

    def live(self):
        """Return the slot that serves, as HAProxy sees it."""
        return self.ask(f"get map {LIVE} live").partition('value="')[2].partition('"')[0]

    def serve(self, slot):
        """Let a slot serve new requests."""
        text = f"live {slot}\n"
        if self.read(LIVE) == text and self.live() == slot:
            return False
        self.send_candidate(slot, "")
        self.write(LIVE, text)
        self.tell(f"set map {LIVE} live {slot}")
        return True

    def requests_on(self, slot):
        """Return how many requests are on a slot now."""
        rows = csv.DictReader(self.ask("show stat").lstrip("# ").splitlines())
        return sum(
            int(row["scur"])
            for row in rows
            if row["pxname"] == "slot-" + slot and row["svname"] == "BACKEND"
        )

    def drain(self, slot, seconds):
        """Wait until a slot has no request; return how many it had when the time was over."""
        deadline = time.monotonic() + seconds
        while (left := self.requests_on(slot)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def new_certificate(self):
        """Use the certificate in its file for new connections."""
        pem = "\n".join(line for line in self.read(CERTIFICATE).splitlines() if line.strip())
        answer = self.ask(f"set ssl cert {CERTIFICATE} <<\n{pem}\n")
        if "ransaction" not in answer:
            raise RuntimeFault(answer.strip())
        if "Success" not in (answer := self.ask("commit ssl cert " + CERTIFICATE)):
            raise RuntimeFault(answer.strip())

    def new_networks(self):
        """Allow the networks in their file, all at once."""
        version = self.ask("prepare acl " + NETWORKS).rpartition(":")[2].strip()
        for network in self.read(NETWORKS).split():
            self.tell(f"add acl @{version} {NETWORKS} {network}")
        self.tell(f"commit acl @{version} {NETWORKS}")

    def reload(self):
        """Read the whole configuration again, without closing the port."""
        subprocess.run(
            ["docker", "kill", "--signal=USR2", self._container],
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def apply(self, changed):
        """Let what changed take effect; with a new configuration all of it does."""
        if "configuration" in changed:
            self.reload()
            return
        if "certificate" in changed:
            self.new_certificate()
        if "networks" in changed:
            self.new_networks()


def run(edge, values):
    """Do what is asked of an edge; return what the module says of it."""
    result = {"changed": False}
    if values["candidate"]:
        result["changed"] = edge.send_candidate(values["candidate"], values["word"])
    if values["live"]:
        result["changed"] = edge.serve(values["live"])
        (other,) = set(SLOTS) - {values["live"]}
        result["unfinished"] = edge.drain(other, values["drain_timeout"])
    if values["apply"]:
        edge.apply(values["apply"])
        result["changed"] = True
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "candidate": {"type": "str", "choices": list(SLOTS)},
            "word": {"type": "str", "default": "", "no_log": True},
            "live": {"type": "str", "choices": list(SLOTS)},
            "drain_timeout": {"type": "int", "default": 30},
            "apply": {"type": "list", "elements": "str"},
        },
    )
    edge = Edge(module.params["container"], module.params["folder"])
    try:
        module.exit_json(**run(edge, module.params))
    except (OSError, RuntimeFault, subprocess.SubprocessError) as error:
        module.fail_json(
            msg="the edge {}: {}".format(module.params["container"], error),
        )


if __name__ == "__main__":
    main()
