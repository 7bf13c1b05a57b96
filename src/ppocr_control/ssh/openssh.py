"""Connections through the ssh command, so that the user's SSH configuration applies unchanged.

A run logs in to each host once; all commands share that connection (ControlMaster). Nothing is
interactive: where ssh would ask a question, the login fails with a message that says what to do.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import LinkLost, Refused, Unreachable
from ..messages.catalogue import find

#: Used where the configuration does not set them; ssh would wait for minutes or forever.
_CONNECT_SECONDS, _KEEPALIVE, _KEEPALIVES_LOST = 20, 15, 4
#: Time limit of a login in seconds, including pluggable authentication and jump hosts.
_LOGIN_SECONDS = 120
#: Seconds after its last command until the connection closes by itself if this program is killed.
_LINGER = 60
#: A socket's path has at most 107 bytes, and ssh appends 17 while creating it.
_SOCKET_PATH = 90
#: Entries of the catalogue of messages, category access, that a retry may overcome.
_MAY_PASS = ("ssh-no-answer", "ssh-name-service", "ssh-sessions")


@dataclass(frozen=True)
class Login:
    """How to log in, in addition to the SSH configuration.

    Attributes:
        user, port, key, jump: like ssh's -l, -p, -i and -J; None for those of the configuration.
        config: an SSH configuration file instead of the user's and the system's.
        password: for hosts that accept no key; None to use only keys and the agent.
        sudo_password: for sudo on the host; None if it asks for none.
        sudo: auto (only if needed), yes or no.
        options: further arguments of ssh, which count more than any configuration file.
    """

    user: str | None = None
    port: int | None = None
    key: Path | None = None
    jump: str | None = None
    config: Path | None = None
    password: str | None = None
    sudo_password: str | None = None
    sudo: str = "auto"
    options: tuple[str, ...] = ()


def split_host(text: str) -> tuple[str | None, str, int | None]:
    """Parse ``[user@]host[:port]``; an IPv6 address with a port is written in brackets.

    Raises:
        Refused: the text does not have that form.
    """
    found = re.fullmatch(
        r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^\s@-][^\s@]*?))(?::(?P<port>\d+))?",
        text,
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


class Connection:
    """The connection to one host."""

    def __init__(self, name: str, login: Login) -> None:
        self.name, self._login = name, login
        self._folder: Path | None = None
        self._socket = ""

    @cached_property
    def _base(self) -> list[str]:
        """The ssh command with the user's options; the host's name is appended last.

        Raises:
            Refused: ssh or a file given by the user does not exist.
        """
        login, (user, _, port) = self._login, split_host(self.name)
        if not shutil.which("ssh"):
            raise Refused(
                "this machine has no ssh command, which is needed to reach hosts: install the "
                "OpenSSH client (apt-get install openssh-client)"
            )
        command = ["ssh"]
        if login.config:
            if not login.config.expanduser().is_file():
                raise Refused(f"the SSH configuration {login.config} does not exist")
            command += ["-F", str(login.config.expanduser())]
        if login.key:
            if not login.key.expanduser().is_file():
                raise Refused(f"the private key {login.key} does not exist")
            command += ["-i", str(login.key.expanduser()), "-oIdentitiesOnly=yes"]
        for option, value in (
            ("-l", user or login.user), ("-p", port or login.port), ("-J", login.jump),
        ):  # fmt: skip
            command += [option, str(value)] if value else []
        return [*command, *login.options]

    @property
    def _host(self) -> list[str]:
        return ["--", split_host(self.name)[1]]

    @cached_property
    def _settings(self) -> dict[str, str]:
        """The effective configuration for this host, as ssh itself reads it.

        Raises:
            Refused: ssh rejects the configuration.
        """
        done = _ssh([*self._base, "-G", *self._host])
        if done.returncode:
            reason = _last_lines(done.stderr)
            raise Refused(f"{self.name}: ssh rejects your SSH configuration: {reason}")
        pairs = (line.partition(" ") for line in done.stdout.splitlines())
        return {key.lower(): value for key, _, value in pairs}

    @property
    def address(self) -> str:
        """The host's address according to the SSH configuration."""
        return self._settings["hostname"]

    def open(self) -> None:
        """Log in, unless a connection exists.

        Raises:
            Unreachable: the host cannot be reached, or refuses the login.
        """
        if self._socket and self._answers(self._socket):
            return
        self.close()
        existing = self._settings.get("controlpath", "none")
        if existing != "none" and self._answers(existing):
            self._socket = existing  # the user's own login, perhaps with a one-time code
            return
        self._folder = _folder()
        path = str(self._folder / "s")
        try:
            self._log_in(path)
        except BaseException:
            self.close()  # a failed login leaves no files
            raise
        self._socket = path

    def _answers(self, path: str) -> bool:
        return _ssh([*_over(path), "-O", "check", *self._host]).returncode == 0

    def _log_in(self, path: str) -> None:
        assert self._folder is not None
        with _Prompts(self._folder, self._login.password) as environment:
            command = [*self._options(path), *self._plain(self._base[1:], self._folder)]
            done = _ssh(["ssh", *command, "-fN", *self._host], environment, _LOGIN_SECONDS)
            errors = done.stderr
            if done.returncode and self._uses_proxy:
                # With ControlPersist ssh drops the messages of jump hosts and proxy commands.
                alone = ["ssh", "-oControlMaster=no", "-oControlPersist=no", *command]
                errors = _ssh([*alone, *self._host, "true"], environment, _LOGIN_SECONDS).stderr
        if done.returncode:
            raise self._login_error(errors or done.stderr)

    def _plain(self, command: list[str], folder: Path) -> list[str]:
        """Replace a configuration path that ssh would not quote for jump hosts by a link to it."""
        config = str((self._login.config or Path()).expanduser())
        if shlex.quote(config) == config:
            return command
        link = folder / "config"
        link.symlink_to(Path(config).absolute())
        return [str(link) if part == config else part for part in command]

    @property
    def _uses_proxy(self) -> bool:
        proxies = (self._settings.get(key, "none") for key in ("proxyjump", "proxycommand"))
        return any(proxy != "none" for proxy in proxies)

    def _options(self, path: str) -> list[str]:
        configured = self._settings
        options = {
            "ControlMaster": "yes", "ControlPath": path, "ControlPersist": str(_LINGER),
            "LogLevel": "ERROR", "ClearAllForwardings": "yes", "RequestTTY": "no",
            "BatchMode": "no" if self._login.password else "yes", "NumberOfPasswordPrompts": "1",
        }  # fmt: skip
        if configured.get("remotecommand", "none") != "none":
            options["RemoteCommand"] = "none"
        if configured.get("stricthostkeychecking") == "ask":  # nobody could answer
            options["StrictHostKeyChecking"] = "yes"
        if configured.get("connecttimeout", "none") in ("none", "0"):
            options["ConnectTimeout"] = str(_CONNECT_SECONDS)
        if configured.get("serveraliveinterval", "0") == "0":
            options["ServerAliveInterval"] = str(_KEEPALIVE)
            options["ServerAliveCountMax"] = str(_KEEPALIVES_LOST)
        return [f"-o{name}={value}" for name, value in options.items()]

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Start a command in the login shell of the host; its three streams are pipes.

        Raises:
            Unreachable: the host cannot be reached, or refuses the login.
        """
        self.open()
        return subprocess.Popen(
            [*_over(self._socket), "-T", *self._host, command], env=_environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def close(self) -> None:
        """Close the connection if this object opened it."""
        if self._folder is not None:
            if self._socket:
                _ssh([*_over(self._socket), "-O", "exit", *self._host])
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder, self._socket = None, ""

    def _login_error(self, output: str) -> Unreachable:
        """Return the error for ssh's output."""
        known, reason = find(output, "access"), _last_lines(output)
        if known is None:
            return LinkLost(f"{self.name} cannot be reached: {reason}")
        if known.id == "ssh-key-unknown":
            reason = self._whose_key(output) or reason
        kind = LinkLost if known.id in _MAY_PASS else Unreachable
        return kind(f"{self.name} ({reason}): {known.advice()}")

    def _whose_key(self, output: str) -> str:
        """Whose key is unknown: for a jump host's ssh asks, gets the answer no, and names none."""
        who = re.search(r"host key is known for (\S+) and", output)
        jump = self._settings.get("proxyjump", "none")
        return who[1] if who else "" if jump == "none" else f"jump host {jump}"


def why_lost(output: str) -> str:
    """Return why a connection broke, from ssh's output."""
    known = find(output, "access")
    return known.advice() if known and known.id == "ssh-sessions" else _last_lines(output)


def _over(path: str) -> list[str]:
    """Return ssh over an existing connection, never a new one."""
    return [
        "ssh", "-F", os.devnull, "-S", path, "-oProxyCommand=false", "-oBatchMode=yes",
        "-oLogLevel=ERROR",
    ]  # fmt: skip


def _environment(more: dict[str, str] | None = None) -> dict[str, str]:
    base = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}
    return base | {"LC_ALL": "C"} | (more or {})


def _ssh(
    command: list[str], more: dict[str, str] | None = None, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ssh to its end in a separate session, which has no terminal for questions."""
    try:
        return subprocess.run(
            command, env=_environment(more), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=seconds, check=False, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 255, "", f"no answer within {seconds:g} s")


def _last_lines(output: str) -> str:
    """Return the last, most specific lines of ssh's output joined."""
    lines = [line.strip() for line in output.splitlines() if line.strip(" @\r")]
    return " ".join(lines[-3:])[-400:] or "no message from ssh"


class _Prompts:
    """Answers ssh's questions: with the password if there is one, else not at all."""

    def __init__(self, folder: Path, password: str | None) -> None:
        self._folder, self._password = folder, password

    def __enter__(self) -> dict[str, str]:
        program = "/bin/false"
        if self._password is not None:
            helper, secret = self._folder / "askpass", self._folder / "password"
            secret.touch(mode=0o600)
            secret.write_text(f"{self._password}\n")
            # Questions about host keys and private keys must not get the password.
            helper.write_text(
                "#!/bin/sh\ncase $1 in *'(yes/no'* | *passphrase* | *PIN*) exit 1 ;; esac\n"
                f"cat {shlex.quote(str(secret))}\n"
            )
            helper.chmod(0o700)
            program = str(helper)
        return {"SSH_ASKPASS": program, "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}

    def __exit__(self, *_: object) -> None:
        (self._folder / "password").unlink(missing_ok=True)


def _folder() -> Path:
    """Create a private folder with a path short enough for a socket, where programs may run.

    Raises:
        Refused: no folder qualifies.
    """
    home = Path.home() / ".cache"
    for place in (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR"), "/tmp", str(home)):  # noqa: S108
        if not place or len(os.fsencode(place)) > _SOCKET_PATH - len("/ppocr-ssh-12345678/s"):
            continue
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="ppocr-ssh-", dir=place))
            trial = folder / "trial"
            trial.touch(mode=0o700)
            if os.access(trial, os.X_OK):
                trial.unlink()
                return folder
            shutil.rmtree(folder)
    raise Refused(
        "no folder is suitable for the socket of an SSH connection: set TMPDIR to one with a short "
        "path, on a file system that is not mounted noexec"
    )
