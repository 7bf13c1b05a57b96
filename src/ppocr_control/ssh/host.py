"""Hosts over SSH: scripts and bytes over one connection, with sudo where that is needed."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import Error, LinkLost, Unreachable
from . import sudo_errors
from .framing import Frame
from .openssh import Connection, Login, split_host, why_lost
from .transport import Answer, write_at

__all__ = ["Login", "SshHost", "split_host"]

#: Seconds without a byte moving after which a connection counts as lost.
STANDSTILL = 60
#: After the last byte went out, what lies in buffers has to cross a slow link to a slow disk.
_DRAIN = 600
_BLOCK = 1 << 18


@dataclass(frozen=True)
class _Rights:
    """What goes before a command so that it may use the engine, and as whom it runs."""

    prefix: str
    root: bool
    home: str


class SshHost:
    """A transport over OpenSSH."""

    def __init__(self, name: str, login: Login) -> None:
        self.name, self._login = name, login
        self._connection = Connection(name, login)
        self._known: _Rights | None = None

    def __enter__(self) -> SshHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; what is called later makes another."""
        self._connection.close()

    def _talk(
        self, prefix: str, script: str, blocks: Iterator[bytes], waiting: float | None,
        told: list[Answer],
    ) -> Iterator[bytes]:  # fmt: skip
        """Run a script, give it blocks to read, and yield what it prints.

        Args:
            waiting: seconds without a byte that are too many, once all blocks are gone.
            told: takes the script's exit status and errors, once it has ended.
        """
        frame, err = Frame(), b""
        text = frame.script(script).encode(errors="surrogateescape")
        # The script is read from the standard input, by its length: in no login shell can quoting
        # go wrong, ps shows nothing of it, and what follows on the input is the script's.
        command = f"sh -c 'eval \"$(dd bs={len(text)} count=1 iflag=fullblock status=none)\"'"
        first = [f"{self._login.sudo_password}\n".encode()] if " -S " in prefix else []
        process = self._connection.start(f"{prefix}{command}")
        try:
            for stream, data in _streams(process, _chain([*first, text], blocks), waiting):
                if stream == "err":
                    err += data
                elif body := frame.feed(data):
                    yield body
            status = process.wait(STANDSTILL)
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            self.close()
            raise LinkLost(f"{self.name}: the connection stands still") from error
        finally:
            _end(process)
        if frame.status is None:
            raise self._broken(prefix, frame, status, err)
        told.append(Answer(frame.status, "", frame.errors(err)))

    def _broken(self, prefix: str, frame: Frame, status: int, err: bytes) -> Error:
        """Why a script has not come to its end."""
        said = frame.errors(err).strip()
        if status == 255 or status < 0:  # or ssh itself was ended
            self.close()
            return LinkLost(f"{self.name}: the connection broke ({why_lost(said)})")
        if frame.begun:
            return Error(f"{self.name}: the script ended early (exit status {status}): {said}")
        if prefix:
            return self._sudo_refuses(said)
        noise = frame.noise.decode(errors="replace")
        words = " ".join(f"{noise} {said}".split())[-300:] or f"exit status {status}"
        return Unreachable(
            f"{self.name} lets us in and runs no command of this user ({words}): log in as one "
            "whose shell does (-l), and who is bound to no command in authorized_keys"
        )

    def _sudo_refuses(self, said: str) -> Unreachable:
        cause = sudo_errors.refusal(said, self._login.sudo_password is not None)
        words = {
            sudo_errors.MISSING: "may not use Docker, and the host has no sudo: log in as root (-l "
            "root), or add the user to the group docker there",
            sudo_errors.WRONG_PASSWORD: "is refused: sudo refuses the password",
            sudo_errors.NOT_ALLOWED: "is not allowed to become root: add the user to the sudoers "
            "there, or log in as root (-l root)",
            sudo_errors.TERMINAL: "gets no root rights: sudo there asks for a terminal. Remove "
            "requiretty from its sudoers",
            sudo_errors.PASSWORD: "may not use Docker, and sudo asks for a password: run with "
            "--ask-sudo-password",
        }.get(cause, f"gets no root rights: sudo there says: {said[-300:] or 'nothing'}")
        return Unreachable(f"{self.name}: the user {words}")

    def _execute(
        self, prefix: str, script: str, blocks: Iterator[bytes], waiting: float | None
    ) -> Answer:
        told: list[Answer] = []
        out = b"".join(self._talk(prefix, script, blocks, waiting, told))
        return Answer(told[0].status, out.decode(errors="surrogateescape"), told[0].err)

    def _rights(self) -> _Rights:
        if self._known is None:
            self._known = self._find_rights()
        return self._known

    def _find_rights(self) -> _Rights:
        mode = self._login.sudo
        docker = "docker version >/dev/null 2>&1 && echo docker=yes" if mode == "auto" else ":"
        sudo = 'said=$(sudo -k -n sh -c : 2>&1) && echo sudo=free || echo "sudo=$said"'
        script = (
            'echo "uid=$(id -u)"; echo "home=$HOME"\n'
            f'[ "$(id -u)" != 0 ] || exit 0\n{docker}\n{sudo if mode != "no" else ":"}\n'
        )
        answer = self._execute("", script, iter(()), STANDSTILL)
        said = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
        home = said.get("home", "")
        if said.get("uid") == "0":
            return _Rights("", True, home)
        if mode == "no" or "docker" in said:
            return _Rights("", False, home)
        if said.get("sudo") == "free":
            return _Rights(f"{sudo_errors.ENGLISH} sudo -n ", True, home)
        cause = sudo_errors.refusal(said.get("sudo", ""))
        if self._login.sudo_password is None or cause in (
            sudo_errors.MISSING,
            sudo_errors.TERMINAL,
        ):
            raise self._sudo_refuses(answer.out.partition("sudo=")[2])
        # -k makes sudo ask in any case, so the password never ends up in what is written.
        return _Rights(f"{sudo_errors.ENGLISH} sudo -k -S -p '' ", True, home)

    def run(self, script: str) -> Answer:
        """As of Transport. It may be silent as long as it likes; ssh watches the link."""
        return self._execute(self._rights().prefix, script, iter(()), None)

    def feed(self, script: str, blocks: Iterator[bytes]) -> Answer:
        """Run a script that reads blocks on its standard input."""
        return self._execute(self._rights().prefix, script, blocks, _DRAIN)

    def put(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        self.feed(write_at(path, offset), blocks).checked(f"{self.name}: writing {path}")

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        """A file's bytes from ``offset`` on. Raises LinkLost or Error."""
        told: list[Answer] = []
        script = f"tail -c +{offset + 1} -- {shlex.quote(path)}"
        yield from self._talk(self._rights().prefix, script, iter(()), STANDSTILL, told)
        told[0].checked(f"{self.name}: reading {path}")

    @property
    def address(self) -> str:
        """Where it is reached, as the SSH configuration says."""
        return self._connection.address

    @property
    def is_root(self) -> bool:
        """Whether commands run as root there."""
        return self._rights().root

    @property
    def home(self) -> str:
        """The login user's home folder there."""
        return self._rights().home


def _chain(first: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    yield from first
    yield from rest


def _streams(
    process: subprocess.Popen[bytes], blocks: Iterator[bytes], waiting: float | None
) -> Iterator[tuple[str, bytes]]:
    """Write blocks to a process, and yield what it prints as ("out" or "err", bytes).

    Raises:
        TimeoutError: nothing moves.
    """
    assert process.stdin and process.stdout and process.stderr
    os.set_blocking(process.stdin.fileno(), False)
    left, printing = memoryview(b""), {"out", "err"}
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE, "in")
        selector.register(process.stdout, selectors.EVENT_READ, "out")
        selector.register(process.stderr, selectors.EVENT_READ, "err")
        while printing:
            ready = selector.select(waiting if process.stdin.closed else STANDSTILL)
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.data == "in":
                    left = left or memoryview(next(blocks, b""))
                    try:
                        sent = os.write(key.fd, left) if left else 0
                    except BrokenPipeError:  # it ended, and tells why
                        sent = 0
                    if left := left[sent:] if sent else memoryview(b""):
                        continue
                    if not sent:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                elif data := os.read(key.fd, _BLOCK):
                    yield key.data, data
                else:
                    selector.unregister(key.fileobj)
                    printing.discard(key.data)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave neither the process nor its pipes, also where nobody waited for its end."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(OSError):
            if stream:
                stream.close()
