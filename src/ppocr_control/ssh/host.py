"""Hosts over SSH: scripts and data over one connection, with sudo where it is needed."""

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

#: Seconds without any data after which a connection counts as lost.
STANDSTILL = 60
#: The same after the last byte was sent: buffers drain over a slow link to a slow disk.
_DRAIN = 600
_BLOCK = 1 << 18


@dataclass(frozen=True)
class _Rights:
    """The prefix with which a command may use the engine, and the user it runs as."""

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
        """Close the connection; later calls open a new one."""
        self._connection.close()

    def _stream(
        self, prefix: str, script: str, blocks: Iterator[bytes], timeout: float | None,
        results: list[Answer],
    ) -> Iterator[bytes]:  # fmt: skip
        """Run a script with blocks on its standard input, and yield its output.

        Args:
            timeout: seconds without any data before giving up, once all blocks are sent.
            results: the script's exit status and errors are appended once it has ended.
        """
        frame, err = Frame(), b""
        text = frame.script(script).encode(errors="surrogateescape")
        process = self._connection.start(f"{prefix}{_from_input(text)}")
        try:
            for stream, data in _streams(
                process, _chain(self._first(prefix, text), blocks), timeout
            ):
                if stream == "err":
                    err += data
                elif body := frame.feed(data):
                    yield body
            status = process.wait(STANDSTILL)
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            self.close()
            raise LinkLost(f"{self.name}: the connection stalled") from error
        finally:
            _end(process)
        if frame.status is None:
            raise self._broken(prefix, frame, status, err)
        results.append(Answer(frame.status, "", frame.errors(err)))

    def _first(self, prefix: str, text: bytes) -> list[bytes]:
        """Return what sudo and the shell read before the script's own input."""
        password = [f"{self._login.sudo_password}\n".encode()] if " -S " in prefix else []
        return [*password, text]

    def start(self, script: str) -> subprocess.Popen[bytes]:
        """Start a script to read its output while it runs, among what login shells print.

        Its standard input ends with this program, or when it is closed.
        """
        prefix, text = self._rights().prefix, script.encode()
        process = self._connection.start(f"{prefix}{_from_input(text)}")
        assert process.stdin
        process.stdin.write(b"".join(self._first(prefix, text)))
        process.stdin.flush()
        return process

    def _broken(self, prefix: str, frame: Frame, status: int, err: bytes) -> Error:
        """Return the error for a script that did not finish."""
        errors = frame.errors(err).strip()
        if status == 255 or status < 0:  # negative: a signal ended ssh itself
            self.close()
            return LinkLost(f"{self.name}: the connection broke ({why_lost(errors)})")
        if frame.begun:
            return Error(f"{self.name}: the script ended early (exit status {status}): {errors}")
        if prefix:
            return self._sudo_error(errors)
        noise = frame.noise.decode(errors="replace")
        output = " ".join(f"{noise} {errors}".split())[-300:] or f"exit status {status}"
        return Unreachable(
            f"{self.name} accepts the login but runs no command for this user ({output}): log in "
            "as a user with a normal shell (-l) and without a forced command in authorized_keys"
        )

    def _sudo_error(self, output: str) -> Unreachable:
        known = sudo_errors.refusal(output, self._login.sudo_password is not None)
        problem = known.advice() if known else f"sudo reports: {output[-300:] or '(no output)'}"
        return Unreachable(f"{self.name}: the user cannot become root: {problem}")

    def _execute(
        self, prefix: str, script: str, blocks: Iterator[bytes], timeout: float | None
    ) -> Answer:
        results: list[Answer] = []
        out = b"".join(self._stream(prefix, script, blocks, timeout, results))
        return Answer(results[0].status, out.decode(errors="surrogateescape"), results[0].err)

    def _rights(self) -> _Rights:
        if self._known is None:
            self._known = self._find_rights()
        return self._known

    def _find_rights(self) -> _Rights:
        mode = self._login.sudo
        docker = "docker version >/dev/null 2>&1 && echo docker=yes" if mode == "auto" else ":"
        sudo = 'output=$(sudo -k -n sh -c : 2>&1) && echo sudo=free || echo "sudo=$output"'
        script = (
            'echo "uid=$(id -u)"; echo "home=$HOME"\n'
            f'[ "$(id -u)" != 0 ] || exit 0\n{docker}\n{sudo if mode != "no" else ":"}\n'
        )
        answer = self._execute("", script, iter(()), STANDSTILL)
        found = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
        home = found.get("home", "")
        if found.get("uid") == "0":
            return _Rights("", True, home)
        if mode == "no" or "docker" in found:
            return _Rights("", False, home)
        if found.get("sudo") == "free":
            return _Rights(f"{sudo_errors.ENGLISH} sudo -n ", True, home)
        cause = sudo_errors.refusal(found.get("sudo", ""))
        hopeless = cause and cause.id in (sudo_errors.MISSING, sudo_errors.TERMINAL)
        if self._login.sudo_password is None or hopeless:
            raise self._sudo_error(answer.out.partition("sudo=")[2])
        # -k makes sudo ask in any case, so it consumes the password and the command never reads it.
        return _Rights(f"{sudo_errors.ENGLISH} sudo -k -S -p '' ", True, home)

    def run(self, script: str) -> Answer:
        """See Transport. The script may be silent for any time; ssh watches the connection."""
        return self._execute(self._rights().prefix, script, iter(()), None)

    def feed(self, script: str, blocks: Iterator[bytes]) -> Answer:
        """Run a script that reads blocks from its standard input."""
        return self._execute(self._rights().prefix, script, blocks, _DRAIN)

    def put(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        self.feed(write_at(path, offset), blocks).checked(f"{self.name}: writing {path}")

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        """Yield a file's bytes from ``offset`` on. Raises LinkLost or Error."""
        results: list[Answer] = []
        script = f"tail -c +{offset + 1} -- {shlex.quote(path)}"
        yield from self._stream(self._rights().prefix, script, iter(()), STANDSTILL, results)
        results[0].checked(f"{self.name}: reading {path}")

    @property
    def address(self) -> str:
        """The address, according to the SSH configuration."""
        return self._connection.address

    @property
    def is_root(self) -> bool:
        """Whether commands run as root."""
        return self._rights().root

    @property
    def home(self) -> str:
        """The login user's home folder."""
        return self._rights().home


def _from_input(text: bytes) -> str:
    """Return the command that reads a script of this length from standard input, and runs it.

    So no login shell can break its quoting, ps does not show it, and the rest of the input belongs
    to the script.
    """
    return f"sh -c 'eval \"$(dd bs={len(text)} count=1 iflag=fullblock status=none)\"'"


def _chain(first: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    yield from first
    yield from rest


def _streams(
    process: subprocess.Popen[bytes], blocks: Iterator[bytes], timeout: float | None
) -> Iterator[tuple[str, bytes]]:
    """Write blocks to a process, and yield its output as ("out" or "err", bytes).

    Raises:
        TimeoutError: no data moved for too long.
    """
    assert process.stdin and process.stdout and process.stderr
    os.set_blocking(process.stdin.fileno(), False)
    left, printing = memoryview(b""), {"out", "err"}
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE, "in")
        selector.register(process.stdout, selectors.EVENT_READ, "out")
        selector.register(process.stderr, selectors.EVENT_READ, "err")
        while printing:
            ready = selector.select(timeout if process.stdin.closed else STANDSTILL)
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.data == "in":
                    left = left or memoryview(next(blocks, b""))
                    try:
                        sent = os.write(key.fd, left) if left else 0
                    except BrokenPipeError:  # it ended; its output says why
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
    """End the process and close its pipes, whether or not it was waited for."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(OSError):
            if stream:
                stream.close()
