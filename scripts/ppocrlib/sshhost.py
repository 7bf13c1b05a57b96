"""Hosts over SSH with fabric: SSH config, keys, jump hosts, ports, passwords, checked host keys."""

from __future__ import annotations

import contextlib
import getpass
import re
import shlex
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabric
import paramiko  # type: ignore[import-untyped]
from paramiko.config import SSHConfig  # type: ignore[import-untyped]

from .outcome import LinkLost, Refused, Trouble, Unreachable
from .transport import Answer, write_at

#: Seconds without a byte moving after which a connection counts as lost.
STANDSTILL = 60
_CONNECT_SECONDS = 20
_KEEPALIVE = 15
_BROKEN = (OSError, EOFError, paramiko.SSHException)


@dataclass(frozen=True)
class Login:
    """How to get in, beyond what the SSH configuration says.

    Attributes:
        user, port, key, jump: as ssh's -l, -p, -i and -J; None for the configuration's.
        config: an SSH configuration file instead of the user's and the system's.
        password: for hosts that take no key; None to use keys and the agent only.
        sudo_password: for sudo on the host; None where it asks for none.
        sudo: auto (only where it is needed), yes or no.
    """

    user: str | None = None
    port: int | None = None
    key: Path | None = None
    jump: str | None = None
    config: Path | None = None
    password: str | None = None
    sudo_password: str | None = None
    sudo: str = "auto"


def ask(login_asked: bool, sudo_asked: bool) -> tuple[str | None, str | None]:
    """Ask for the passwords on the terminal; neither is ever an argument or in a file."""
    password = getpass.getpass("SSH password: ") if login_asked else None
    if not sudo_asked:
        return password, None
    said = getpass.getpass("sudo password" + (" (empty for the same): " if login_asked else ": "))
    return password, said or password


class _UnknownKey(paramiko.MissingHostKeyPolicy):
    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        raise Unreachable(
            f"{hostname}: its host key {key.get_name()} {key.fingerprint} is not among the known "
            "hosts. Compare it with the host's own (there: ssh-keygen -lf "
            "/etc/ssh/ssh_host_ed25519_key.pub), then log in once with ssh to accept it"
        )


class CheckedConnection(fabric.Connection):
    """A fabric connection, and jump hosts before it, whose host keys have to be known."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _check_keys(self)

    def get_gateway(self) -> Any:
        made = hop = super().get_gateway()
        while isinstance(hop, fabric.Connection):
            _check_keys(hop)  # fabric makes jump hosts itself, and would let any key through
            hop = hop.gateway
        return made


def _check_keys(connection: fabric.Connection) -> None:
    settings = connection.ssh_config
    for setting, default in (
        ("userknownhostsfile", "~/.ssh/known_hosts"),
        ("globalknownhostsfile", "/etc/ssh/ssh_known_hosts"),
    ):
        for name in str(settings.get(setting, default)).split():
            path = Path(name).expanduser()
            if path.is_file():
                connection.client.load_system_host_keys(str(path))
    connection.client.set_missing_host_key_policy(_UnknownKey())


def split_host(text: str) -> tuple[str | None, str, int | None]:
    """``[user@]host[:port]``; an IPv6 address with a port stands in brackets.

    Raises:
        Refused: it is not of that form.
    """
    found = re.fullmatch(
        r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^\s@]+?))(?::(?P<port>\d+))?", text
    )
    if not found or (found["host"] or "").count(":") == 1:
        raise Refused(f"{text!r} is not [user@]host[:port]")
    if found["host"] and ":" in found["host"]:
        raise Refused(f"{text!r}: write an IPv6 address as [{found['host']}]")
    return (
        found["user"],
        found["v6"] or found["host"],
        int(found["port"]) if found["port"] else None,
    )


def _config(login: Login) -> fabric.Config:
    if login.config is None:
        return fabric.Config()
    if not login.config.is_file():
        raise Refused(f"there is no SSH configuration {login.config}")
    with login.config.open() as file:
        return fabric.Config(ssh_config=SSHConfig.from_file(file))


@dataclass(frozen=True)
class _Rights:
    """What goes before a command so that it may use the engine, and as whom it runs."""

    prefix: list[str]
    root: bool
    home: str


class SshHost:
    """A transport over fabric."""

    def __init__(self, name: str, login: Login) -> None:
        self.name, self._login = name, login
        self._connection: CheckedConnection | None = None
        self._known: _Rights | None = None

    def __enter__(self) -> SshHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(*_BROKEN):
                self._connection.close()
            self._connection = None

    def _make(self) -> CheckedConnection:
        login = self._login
        user, host, port = split_host(self.name)
        config = _config(login)
        keywords: dict[str, Any] = {
            "password": login.password,
            "key_filename": str(login.key) if login.key else None,
            "allow_agent": login.key is None,
            "look_for_keys": login.key is None,
            "banner_timeout": _CONNECT_SECONDS,
        }
        gateway = CheckedConnection(login.jump, config=config) if login.jump else None
        return CheckedConnection(
            host,
            user=user or login.user,
            port=port or login.port,
            config=config,
            gateway=gateway,
            connect_timeout=_CONNECT_SECONDS,
            connect_kwargs={key: value for key, value in keywords.items() if value is not None},
        )

    def open(self) -> CheckedConnection:
        """The connection, made where there is none.

        Raises:
            Unreachable: no way to the host, or it does not let us in.
        """
        if self._connection is not None and self._connection.is_connected:
            return self._connection
        self._connection = self._make()
        try:
            self._connection.open()
        except paramiko.BadHostKeyException as error:
            raise Unreachable(
                f"{self.name}: its host key is not the one known for it ({error}). Somebody may be "
                "in between, or the host was installed anew; then ssh-keygen -R removes the old key"
            ) from error
        except paramiko.AuthenticationException as error:
            raise Unreachable(
                f"{self.name} does not let us in ({error}): give a key (-i), a user (-l), or "
                "--ask-password for a password"
            ) from error
        except _BROKEN as error:
            raise LinkLost(f"{self.name} cannot be reached: {error}") from error
        transport = self._connection.transport
        assert transport is not None
        transport.set_keepalive(_KEEPALIVE)
        return self._connection

    def _channel(self, command: str) -> paramiko.Channel:
        transport = self.open().transport
        assert transport is not None
        try:
            channel = transport.open_session(timeout=_CONNECT_SECONDS)
            channel.settimeout(STANDSTILL)
            channel.exec_command(command)
        except _BROKEN as error:
            self.close()
            raise LinkLost(f"{self.name}: {error}") from error
        return channel

    def _execute(self, command: str, blocks: Iterator[bytes], patient: bool) -> Answer:
        channel = self._channel(command)
        out: list[bytes] = []
        err: list[bytes] = []
        try:
            for block in blocks:
                channel.sendall(block)
            channel.shutdown_write()
            if patient:
                channel.settimeout(None)  # docker load is silent for minutes; keepalives watch
            while data := channel.recv(1 << 16):
                out.append(data)
            while data := channel.recv_stderr(1 << 16):
                err.append(data)
            status = channel.recv_exit_status()
        except _BROKEN as error:
            words = "stands still" if isinstance(error, socket.timeout) else str(error)
            self.close()
            raise LinkLost(f"{self.name}: the connection broke ({words})") from error
        finally:
            channel.close()
        if status == -1:
            self.close()
            raise LinkLost(f"{self.name}: the connection broke")
        return Answer(
            status, b"".join(out).decode(errors="replace"), b"".join(err).decode(errors="replace")
        )

    def _rights(self) -> _Rights:
        if self._known is None:
            self._known = self._find_rights()
        return self._known

    def _find_rights(self) -> _Rights:
        mode = self._login.sudo
        probe = (
            'printf "%s\\n%s\\n" "$(id -u)" "$HOME"; [ "$(id -u)" != 0 ] || exit 0; '
            "docker version >/dev/null 2>&1 && echo docker; "
            "sudo -k -n true 2>/dev/null && echo free"
        )
        user, home, *said = self._execute(
            f"sh -c {shlex.quote(probe)}", iter(()), False
        ).out.splitlines()
        if user == "0":
            return _Rights([], True, home)
        if mode == "no" or (mode == "auto" and "docker" in said):
            return _Rights([], False, home)
        if "free" in said:
            return _Rights(["sudo", "-n"], True, home)
        if self._login.sudo_password is None:
            raise Unreachable(
                f"{self.name}: the user may not use Docker, and sudo asks for a password: "
                "run with --ask-sudo-password"
            )
        # -k makes sudo ask in any case, so the password never ends up in what is written.
        return _Rights(["sudo", "-k", "-S", "-p", "''"], True, home)

    def _command(self, command: str) -> tuple[str, list[bytes]]:
        prefix = self._rights().prefix
        first = [f"{self._login.sudo_password}\n".encode()] if "-S" in prefix else []
        return " ".join([*prefix, command]), first

    def run(self, script: str) -> Answer:
        command, first = self._command("sh -s")
        answer = self._execute(command, iter([*first, script.encode()]), patient=True)
        if "-S" in command and answer.status == 1 and "incorrect password" in answer.err:
            raise Unreachable(f"{self.name}: sudo refuses the password")
        return answer

    def put(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        command, first = self._command(write_at(path, offset))

        def everything() -> Iterator[bytes]:
            yield from first
            yield from blocks

        self._execute(command, everything(), patient=False).checked(f"{self.name}: writing {path}")

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        """A file's bytes from ``offset`` on. Raises LinkLost or Trouble."""
        command, first = self._command(f"tail -c +{offset + 1} -- {shlex.quote(path)}")
        channel = self._channel(command)
        try:
            for block in first:
                channel.sendall(block)
            channel.shutdown_write()
            while data := channel.recv(1 << 18):
                yield data
            if channel.recv_exit_status():
                raise Trouble(f"{self.name}: reading {path}: {channel.recv_stderr(4096).decode()}")
        except _BROKEN as error:
            self.close()
            raise LinkLost(f"{self.name}: the connection broke ({error})") from error
        finally:
            channel.close()

    @property
    def address(self) -> str:
        """Where it is reached, as the SSH configuration says."""
        return str(self._make().host)

    @property
    def is_root(self) -> bool:
        """Whether commands run as root there."""
        return self._rights().root

    @property
    def home(self) -> str:
        """The login user's home folder there."""
        return self._rights().home
