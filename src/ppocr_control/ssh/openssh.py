"""Connections of the ssh command, so that an SSH configuration means here what it means to ssh.

Each host is logged in to once a run; every command then goes over that connection (ControlMaster).
Nobody is asked anything on the way: what ssh would ask is refused, and what to do is said instead.
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

#: Used where the configuration leaves them to ssh, which would wait for minutes or for ever.
_CONNECT_SECONDS, _KEEPALIVE, _KEEPALIVES_LOST = 20, 15, 4
#: A login may take this long, pluggable authentication and jump hosts included.
_LOGIN_SECONDS = 120
#: The connection ends this long after its last command, should this program be killed.
_LINGER = 60
#: A socket's path is 107 bytes at most, and ssh adds 17 while it makes it.
_SOCKET_PATH = 90


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


def split_host(text: str) -> tuple[str | None, str, int | None]:
    """``[user@]host[:port]``; an IPv6 address with a port stands in brackets.

    Raises:
        Refused: it is not of that form.
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
    """The way to one host."""

    def __init__(self, name: str, login: Login) -> None:
        self.name, self._login = name, login
        self._folder: Path | None = None
        self._socket = ""

    @cached_property
    def _base(self) -> list[str]:
        """ssh with what the user named; the host's name goes last.

        Raises:
            Refused: something named is not there.
        """
        login, (user, _, port) = self._login, split_host(self.name)
        if not shutil.which("ssh"):
            raise Refused(
                "this machine has no ssh command, which carries everything to hosts: install "
                "OpenSSH's client (apt-get install openssh-client)"
            )
        command = ["ssh"]
        if login.config:
            if not login.config.expanduser().is_file():
                raise Refused(f"there is no SSH configuration {login.config}")
            command += ["-F", str(login.config.expanduser())]
        if login.key:
            if not login.key.expanduser().is_file():
                raise Refused(f"there is no private key {login.key}")
            command += ["-i", str(login.key.expanduser()), "-oIdentitiesOnly=yes"]
        for option, value in (
            ("-l", user or login.user), ("-p", port or login.port), ("-J", login.jump),
        ):  # fmt: skip
            command += [option, str(value)] if value else []
        return command

    @property
    def _host(self) -> list[str]:
        return ["--", split_host(self.name)[1]]

    @cached_property
    def _settings(self) -> dict[str, str]:
        """What the configuration comes to for this host, as ssh itself reads it.

        Raises:
            Refused: ssh does not take the configuration.
        """
        done = _ssh([*self._base, "-G", *self._host])
        if done.returncode:
            words = _last(done.stderr)
            raise Refused(f"{self.name}: ssh does not take your SSH configuration: {words}")
        pairs = (line.partition(" ") for line in done.stdout.splitlines())
        return {key.lower(): value for key, _, value in pairs}

    @property
    def address(self) -> str:
        """Where the host is reached, as the SSH configuration says."""
        return self._settings["hostname"]

    def open(self) -> None:
        """Log in, unless a connection is there.

        Raises:
            Unreachable: no way to the host, or it does not let us in.
        """
        if self._socket and self._answers(self._socket):
            return
        self.close()
        own = self._settings.get("controlpath", "none")
        if own != "none" and self._answers(own):
            self._socket = own  # as of a login with a one-time code, which nobody wants to repeat
            return
        self._folder = _folder()
        path = str(self._folder / "s")
        try:
            self._log_in(path)
        except BaseException:
            self.close()  # nothing is left of a login that failed
            raise
        self._socket = path

    def _answers(self, path: str) -> bool:
        return _ssh([*_over(path), "-O", "check", *self._host]).returncode == 0

    def _log_in(self, path: str) -> None:
        assert self._folder is not None
        with _Prompts(self._folder, self._login.password) as environment:
            command = [*self._options(path), *self._plain(self._base[1:], self._folder)]
            done = _ssh(["ssh", *command, "-fN", *self._host], environment, _LOGIN_SECONDS)
            said = done.stderr
            if done.returncode and self._through_another:
                # With ControlPersist ssh drops what jump hosts and proxy commands say.
                alone = ["ssh", "-oControlMaster=no", "-oControlPersist=no", *command]
                said = _ssh([*alone, *self._host, "true"], environment, _LOGIN_SECONDS).stderr
        if done.returncode:
            raise self._refusal(said or done.stderr)

    def _plain(self, command: list[str], folder: Path) -> list[str]:
        """The command with a link for a configuration whose path ssh would not quote to jumps."""
        config = str((self._login.config or Path()).expanduser())
        if shlex.quote(config) == config:
            return command
        link = folder / "config"
        link.symlink_to(Path(config).absolute())
        return [str(link) if part == config else part for part in command]

    @property
    def _through_another(self) -> bool:
        ways = (self._settings.get(key, "none") for key in ("proxyjump", "proxycommand"))
        return any(way != "none" for way in ways)

    def _options(self, path: str) -> list[str]:
        said = self._settings
        options = {
            "ControlMaster": "yes", "ControlPath": path, "ControlPersist": str(_LINGER),
            "LogLevel": "ERROR", "ClearAllForwardings": "yes", "RequestTTY": "no",
            "BatchMode": "no" if self._login.password else "yes", "NumberOfPasswordPrompts": "1",
        }  # fmt: skip
        if said.get("remotecommand", "none") != "none":
            options["RemoteCommand"] = "none"
        if said.get("stricthostkeychecking") == "ask":  # nobody is there to answer
            options["StrictHostKeyChecking"] = "yes"
        if said.get("connecttimeout", "none") in ("none", "0"):
            options["ConnectTimeout"] = str(_CONNECT_SECONDS)
        if said.get("serveraliveinterval", "0") == "0":
            options["ServerAliveInterval"] = str(_KEEPALIVE)
            options["ServerAliveCountMax"] = str(_KEEPALIVES_LOST)
        return [f"-o{name}={value}" for name, value in options.items()]

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Begin a command of the login shell's there; its three streams are pipes.

        Raises:
            Unreachable: no way to the host, or it does not let us in.
        """
        self.open()
        return subprocess.Popen(
            [*_over(self._socket), "-T", *self._host, command], env=_environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def close(self) -> None:
        """End the connection, if it is our own."""
        if self._folder is not None:
            if self._socket:
                _ssh([*_over(self._socket), "-O", "exit", *self._host])
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder, self._socket = None, ""

    def _refusal(self, said: str) -> Unreachable:
        """The error that ssh's words stand for, in the order in which they tell most."""
        name, words, login = self.name, _last(said), self._login
        if "marked as revoked" in said or "REVOKED HOST KEY" in said:
            return Unreachable(
                f"{name}: its host key is marked as revoked in the known hosts ({words}): give the "
                "host a new key, or take the line @revoked out if it is wrong"
            )
        if "IDENTIFICATION HAS CHANGED" in said or "has changed and you have requested" in said:
            return Unreachable(
                f"{name}: its host key is not the one known for it ({words}). Somebody may be in "
                "between, or the host was installed anew; then ssh-keygen -R removes the old key"
            )
        if "Host key verification failed" in said or "host key is known for" in said:
            who = re.search(r"host key is known for (\S+) and", said)
            # ssh asks about a jump host's key, which is answered no, and then names nobody.
            jump = self._settings.get("proxyjump", "none")
            whose = who[1] if who else words if jump == "none" else f"jump host {jump}"
            return Unreachable(
                f"{name}: its host key is not among the known hosts ({whose}). "
                "Log in once with ssh, compare the key it shows with the host's own (there: "
                "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), and accept it"
            )
        if "Permission denied" in said or "Too many authentication failures" in said:
            readable = "UNPROTECTED PRIVATE KEY" in said or "bad permissions" in said
            remedy = (
                "others may read the private key: chmod 600" if readable
                else "correct the password, or give a key (-i)" if login.password
                else "give a key (-i; one with a passphrase by ssh-add), a user (-l), or "
                "--ask-password for a password"
            )  # fmt: skip
            return Unreachable(f"{name} does not let us in ({words}): {remedy}")
        if "Could not resolve hostname" in said and "Temporary failure" not in said:
            return Unreachable(
                f"{name} cannot be reached: {words}. Neither name service nor your SSH "
                "configuration knows that name: correct it"
            )
        if "Unable to negotiate" in said:
            return Unreachable(
                f"{name} speaks only algorithms that ssh here does not take ({words}): name them "
                "in your SSH configuration (HostKeyAlgorithms, KexAlgorithms, Ciphers)"
            )
        refused = ": does sshd listen on that port there (-P)?" if "refused" in said else ""
        return LinkLost(f"{name} cannot be reached: {words}{refused}")


def why_lost(said: str) -> str:
    """What ssh says of a command whose connection broke."""
    if "Session open refused" in said:
        return "sshd there allows no further session: raise MaxSessions in its sshd_config"
    return _last(said)


def _over(path: str) -> list[str]:
    """ssh over a connection that is there, and never over a new one."""
    return [
        "ssh", "-F", os.devnull, "-S", path, "-oProxyCommand=false", "-oBatchMode=yes",
        "-oLogLevel=ERROR",
    ]  # fmt: skip


def _environment(more: dict[str, str] | None = None) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}
    return kept | {"LC_ALL": "C"} | (more or {})


def _ssh(
    command: list[str], more: dict[str, str] | None = None, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ssh to its end, in a session of its own, which has no terminal to ask at."""
    try:
        return subprocess.run(
            command, env=_environment(more), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=seconds, check=False, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 255, "", f"no answer within {seconds:g} s")


def _last(said: str) -> str:
    """The lines of ssh's that tell, in one."""
    lines = [line.strip() for line in said.splitlines() if line.strip(" @\r")]
    return " ".join(lines[-3:])[-400:] or "no word from ssh"


class _Prompts:
    """What ssh asks is answered here: with the password where there is one, else not at all."""

    def __init__(self, folder: Path, password: str | None) -> None:
        self._folder, self._password = folder, password

    def __enter__(self) -> dict[str, str]:
        program = "/bin/false"
        if self._password is not None:
            helper, secret = self._folder / "askpass", self._folder / "password"
            secret.touch(mode=0o600)
            secret.write_text(f"{self._password}\n")
            # A question about a host's key or a private key is none for the password.
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
    """A folder of this run's alone, with room for a socket's name, where programs may run.

    Raises:
        Refused: there is no such place.
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
        "no folder takes the socket of an SSH connection: name one with a short path in TMPDIR, on "
        "a file system that is not mounted noexec"
    )
