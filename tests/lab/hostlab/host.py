"""One host of the lab: a container that boots systemd, takes SSH and runs its own Docker."""

from __future__ import annotations

import secrets
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .engine import LABEL, LabError, docker
from .network import Network
from .spec import HostSpec
from .waiting import until

BOOT_SECONDS = 120
SSH_SECONDS = 600
# A nested engine needs all this; --privileged fails where this machine lacks SYS_RESOURCE itself.
# A host has no business setting the clock, which is this machine's.
FLAGS = (
    "--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--cap-drop", "SYS_TIME",
    "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
    "--security-opt", "systempaths=unconfined", "--device-cgroup-rule", "a *:* rwm",
    "--cgroupns=private", "--stop-signal", "SIGRTMIN+3", "--stop-timeout", "30",
    "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec",  # noqa: S108
)  # fmt: skip
DOCKER_ROOT = "/var/lib/docker"


@dataclass(frozen=True)
class Keys:
    """The folder with the lab's SSH key pair, hosts' public keys, and the password for sudo."""

    folder: Path

    @classmethod
    def ensure(cls, folder: Path) -> Keys:
        """Those of a folder, made where they are missing."""
        keys = cls(folder)
        if not keys.private.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            keys._password_file.touch(mode=0o600)
            keys._password_file.write_text(secrets.token_urlsafe(12))
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {folder.name}"]
            subprocess.run([*command, "-f", str(keys.private)], check=True)
        return keys

    @property
    def private(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def public(self) -> str:
        return self.private.with_suffix(".pub").read_text()

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    @property
    def password(self) -> str:
        return self._password_file.read_text()

    def known_hosts(self, name: str) -> Path:
        """A file for each host, so that hosts that start at the same time write apart."""
        return self.folder / f"{name}.known_hosts"


class Host:
    """A handle on one host. Every method that runs something raises LabError when it fails."""

    def __init__(self, lab: str, spec: HostSpec, address: str, keys: Keys) -> None:
        self.lab, self.spec, self.address, self.keys = lab, spec, address, keys
        self.name, self.user, self.port = spec.name, spec.user, spec.port
        self.key = keys.private
        self.password = keys.password if spec.sudo == "password" else None
        self.container = f"ppocr-lab-{lab}-{spec.name}"

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.spec.suite} {self.user}@{self.address}:{self.port}>"

    # What a test does on the host

    def run(
        self,
        command: str,
        check: bool = True,
        timeout: float = 300,
        stdin: bytes | IO[bytes] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root inside the host, past SSH (timeout in seconds)."""
        interactive = ["--interactive"] if stdin is not None else []
        return docker(
            "exec", *interactive, self.container, "bash", "-c", command,
            stdin=stdin, check=check, timeout=timeout,
        )  # fmt: skip

    def ssh(
        self, command: str, check: bool = True, timeout: float = SSH_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command over SSH as the host's own user, as Ansible would log in."""
        try:
            done = subprocess.run(
                [*self.ssh_command(), command],
                capture_output=True, text=True, errors="replace", timeout=timeout,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LabError(f"{self}: no end of {command!r} within {timeout:g} s") from None
        if check and done.returncode:
            said = done.stdout + done.stderr
            raise LabError(f"{self}: {command!r} exit {done.returncode}\n{said}")
        return done

    def ssh_command(self) -> list[str]:
        """The ssh call that logs in to this host; a command may follow."""
        return [
            "ssh", "-F", "/dev/null", "-i", str(self.key), "-p", str(self.port),
            *(f"-o{option}" for option in self.ssh_options()), "-oConnectTimeout=10",
            f"{self.user}@{self.address}",
        ]  # fmt: skip

    def ssh_options(self) -> list[str]:
        """This lab's key only, and this host's public key checked."""
        return ["IdentitiesOnly=yes", f"UserKnownHostsFile={self.keys.known_hosts(self.name)}"]

    def put(self, path: str, content: str | bytes | Path, mode: str = "0644") -> None:
        """Write a file as root: text, bytes, or what a local file holds. Folders are made."""
        target = shlex.quote(path)
        command = f"mkdir -p $(dirname {target}) && cat >{target} && chmod {mode} {target}"
        if isinstance(content, Path):
            with content.open("rb") as handle:
                self.run(command, stdin=handle)
        else:
            self.run(command, stdin=content.encode() if isinstance(content, str) else content)

    def read(self, path: str) -> str:
        """The text of a file on the host."""
        return self.run(f"cat {shlex.quote(path)}").stdout

    def wait_for(self, command: str, timeout: float = 60, every: float = 1) -> str:
        """Run a command until it exits 0 (seconds); returns what it printed."""
        last: Any = None

        def succeeds() -> bool:
            nonlocal last
            last = self.run(command, check=False, timeout=max(timeout, 30))
            return last.returncode == 0

        if not until(succeeds, timeout, every):
            raise LabError(
                f"{self}: {command!r} still fails after {timeout:g} s:\n"
                f"{last.stdout}{last.stderr}{self.journal()}"
            )
        return last.stdout

    def journal(self, lines: int = 40) -> str:
        """The host's last journal lines and failed units, for an error message."""
        if not self.running:
            state = docker("inspect", "--format", "{{json .State}}", self.container, check=False)
            logs = docker("logs", "--tail", str(lines), self.container, check=False)
            return f"--- {self.name} is off ---\n{state.stdout}{logs.stdout}{logs.stderr}"
        told = self.run(
            f"systemctl --no-pager --failed; journalctl --no-pager -n {lines}", check=False
        )
        return f"--- journal of {self.name} ---\n{told.stdout}{told.stderr}"

    # What happens to a host

    def stop(self) -> None:
        """Shut the host down in order."""
        docker("stop", self.container)

    def kill(self) -> None:
        """Cut the power."""
        docker("kill", self.container)

    def start(self) -> None:
        """Switch the host on and wait until it can be used; its address stays the same."""
        docker("start", self.container)
        self.wait_ready()

    def reboot(self) -> None:
        """Shut down in order, and start again."""
        self.stop()
        self.start()

    def unplug(self) -> None:
        """Pull the network cable: nothing reaches the host, which runs on."""
        docker("network", "disconnect", self._network(), self.container)

    def plug(self) -> None:
        """Put the network cable back in."""
        docker("network", "connect", "--ip", self.address, self._network(), self.container)

    def _network(self) -> str:
        return f"ppocr-lab-{self.lab}-{self.spec.network}"

    # How a host comes about

    def create(self, image: str, network: Network) -> None:
        """Make and start the container; ``wait_ready`` says when it is a host."""
        spec = self.spec
        limits = [f"--memory={spec.memory_mb}m", f"--memory-swap={spec.memory_mb}m"]
        disks = dict(spec.disks)
        docker_root = f"ppocr-lab-{self.lab}-{self.name}-docker:{DOCKER_ROOT}"
        if DOCKER_ROOT not in disks:
            docker("volume", "create", "--label", f"{LABEL}={self.lab}", docker_root.split(":")[0])
        docker(
            "create", "--name", self.container, "--hostname", self.name,
            "--label", f"{LABEL}={self.lab}",
            "--label", f"{LABEL}.spec={spec.to_json()}",
            "--label", f"{LABEL}.address={self.address}",
            "--network", network.name, "--ip", self.address,
            "--env", f"LAB_SSH_PORT={spec.port}",
            "--env", f"LAB_RESOLV_CONF={network.resolv_conf()}",
            *FLAGS,
            *(limits if spec.memory_mb else []),
            *([] if DOCKER_ROOT in disks else ["--volume", docker_root]),
            *(
                part
                for path, size in disks.items()
                for part in ("--tmpfs", f"{path}:exec,dev,suid,size={size}m")
            ),
            image,
        )  # fmt: skip
        docker("start", self.container)

    def open_door(self) -> None:
        """Let the lab's key in as the host's user, and note the host's own keys."""
        home = "/root" if self.user == "root" else f"/home/{self.user}"
        if self.user != "root":
            self.run(f"useradd --create-home --shell /bin/bash {self.user}")
            self.run("chpasswd", stdin=f"{self.user}:{self.keys.password}\n".encode())
            asks = {"nopasswd": "NOPASSWD:ALL", "password": "ALL"}.get(self.spec.sudo)
            if asks:
                rule = f"{self.user} ALL=(ALL:ALL) {asks}\n"
                self.put(f"/etc/sudoers.d/{self.user}", rule, "0440")
        self.put(f"{home}/.ssh/authorized_keys", self.keys.public, "0600")
        self.run(f"chown -R {self.user}: {home}/.ssh && chmod 0700 {home}/.ssh")
        who = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        host_keys = self.run("cat /etc/ssh/ssh_host_*_key.pub").stdout.splitlines()
        self.keys.known_hosts(self.name).write_text(
            "".join(f"{who} {' '.join(key.split()[:2])}\n" for key in host_keys)
        )

    def wait_ready(self) -> None:
        """Wait for systemd, sshd and the engine. Raises LabError with the last journal lines."""
        deadline = time.monotonic() + BOOT_SECONDS
        steps: list[tuple[str, Callable[[], bool]]] = [
            ("systemd has not started every unit", self._booted),
            (f"sshd does not answer on {self.address}:{self.port}", self._greets),
        ]
        if self.spec.engine == "installed":
            steps.append(("the host's own Docker engine does not answer", self._engine_answers))
        for trouble, ready in steps:
            if not until(ready, deadline - time.monotonic(), every=0.3):
                raise LabError(
                    f"{self}: {trouble} {BOOT_SECONDS} s after the start\n{self.journal()}"
                )

    def _booted(self) -> bool:
        state = self.run("systemctl is-system-running", check=False).stdout.strip()
        if not state and not self.running:
            raise LabError(f"{self} went down while it started\n{self.journal()}")
        return state in ("running", "degraded")

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), timeout=3) as connection:
                connection.settimeout(3)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _engine_answers(self) -> bool:
        return self.run("docker version", check=False).returncode == 0

    @property
    def running(self) -> bool:
        state = docker("inspect", "--format", "{{.State.Running}}", self.container, check=False)
        return state.stdout.strip() == "true"
