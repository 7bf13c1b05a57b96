"""A running edge, controlled through HAProxy's runtime API by docker exec.

A change is written to the edge's folder first and sent to HAProxy then, so that HAProxy after a
restart, or the run after a killed one, finds it there.
"""

from __future__ import annotations

import csv
import subprocess
import time
from pathlib import Path

SLOTS = ("a", "b")
LIVE, CANDIDATE, MAINTENANCE, CERTIFICATE = (
    "/etc/haproxy/" + name for name in ("live.map", "candidate.map", "maintenance.map", "tls.pem")
)
#: Access lists: networks, names of the service, hashes of tokens.
LISTS = ("networks.lst", "hosts.lst", "tokens.lst")
_CLIENT = (
    "import socket,sys;s=socket.socket(socket.AF_UNIX);s.settimeout(10);"
    "s.connect('/run/haproxy/admin.sock');s.sendall(sys.stdin.buffer.read());"
    "o=sys.stdout.buffer\nwhile 1:\n b=s.recv(65536)\n if not b: break\n o.write(b)"
)


class RuntimeFault(Exception):
    """HAProxy or its container refused a command; the message is theirs."""


def docker(*arguments, **options):
    """Return what docker prints; raises RuntimeFault where it fails."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, check=False, timeout=600, **options
    )
    if done.returncode:
        raise RuntimeFault(f"docker {arguments[0]}: {done.stderr.decode()[-300:].strip()}")
    return done.stdout.decode()


def state(container):
    """Return the state of a container, "" where there is none."""
    try:
        return docker("container", "inspect", "--format={{.State.Status}}", container).strip()
    except RuntimeFault:
        return ""


class Edge:
    """A running edge: its container, and its folder on the host."""

    def __init__(self, container, folder):
        self.container, self.folder = container, Path(folder)

    def ask(self, command):
        """Return HAProxy's answer to one command of its runtime API."""
        client = ("exec", "-i", self.container, "python3", "-c", _CLIENT)
        return docker(*client, input=command.encode() + b"\n")

    def tell(self, command):
        """Run a command that answers with nothing where it is done."""
        if answer := self.ask(command).strip():
            raise RuntimeFault("{}: {}".format(command.split("\n")[0], answer))

    def read(self, path):
        """Return the text of one of its files."""
        return (self.folder / Path(path).name).read_text()

    def write(self, path, text):
        """Write one of its files; a reader sees the old one or the new one."""
        target = self.folder / Path(path).name
        new = target.with_name(target.name + ".new")
        new.write_text(text)
        new.chmod(0o644)
        new.replace(target)

    def send_candidate(self, slot, word):
        """Route requests with the secret to a slot; without a secret route none."""
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
        """Let a slot serve new requests; the secret is no longer valid."""
        self.send_candidate(slot, "")
        text = f"live {slot}\n"
        if self.read(LIVE) == text and self.live() == slot:
            return False
        self.write(LIVE, text)
        self.tell(f"set map {LIVE} live {slot}")
        return True

    def maintain(self, answers, retry_after=0):
        """Answer clients with 503, or serve them; return whether that is another state.

        An edge that does not run reads it when it starts.

        Args:
            answers: bodies by the key that a frontend looks for; none to serve.
            retry_after: seconds until clients may ask again.
        """
        text = "".join(f"{key} 503 {retry_after} {body}\n" for key, body in answers.items())
        if not (self.folder / Path(MAINTENANCE).name).exists():
            raise RuntimeFault("it is of a version without maintenance; deploy it again first")
        changed = self.read(MAINTENANCE) != text
        self.write(MAINTENANCE, text)
        if state(self.container) == "running":
            self.reread("map", MAINTENANCE)
        return changed

    def requests_on(self, slot):
        """Return how many requests are on a slot now."""
        rows = csv.DictReader(self.ask("show stat").lstrip("# ").splitlines())
        return sum(
            int(row["scur"])
            for row in rows
            if row["pxname"].startswith("slot-" + slot) and row["svname"] == "BACKEND"
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

    def reread(self, kind, path):
        """Let HAProxy have the lines of a file, an acl or a map, all at once."""
        version = self.ask(f"prepare {kind} {path}").rpartition(":")[2].strip()
        for line in self.read(path).splitlines():
            entry = line if kind == "acl" else f"<<\n{line}\n"  # an acl takes no payload
            self.tell(f"add {kind} @{version} {path} {entry}")
        self.tell(f"commit {kind} @{version} {path}")

    def process(self):
        """Return the process ID of the HAProxy that answers."""
        return self.ask("show info").partition("\nPid: ")[2].partition("\n")[0]

    def wait(self, seconds=10):
        """Wait until a container that was started answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.process()
            except RuntimeFault:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def reload(self, seconds=30):
        """Read the whole configuration again, without closing the port, and wait until it holds."""
        former = self.process()
        docker("kill", "--signal=USR2", self.container)
        deadline = time.monotonic() + seconds
        while self.process() == former:
            if time.monotonic() > deadline:
                raise RuntimeFault(f"the new configuration is not in use after {seconds} s")
            time.sleep(0.2)

    def apply(self, changed):
        """Let changed files take effect; with a new configuration all of them do."""
        if "haproxy.cfg" in changed:
            self.reload()
            return
        if "tls.pem" in changed:
            self.new_certificate()
        for name in LISTS:
            if name in changed:
                self.reread("acl", "/etc/haproxy/" + name)
