"""Run ansible-playbook as an operator would, and read what it says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import inventory
from .engine import LabError
from .host import Host
from .lab import ROOT
from .waiting import until

RUN_SECONDS = 1800
SOCKETS = "ANSIBLE_SSH_CONTROL_PATH_DIR"
RECAP = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=\d+ .*)$")
TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?P<name>.+)\] \**$")
RESULT = re.compile(r"^(?P<status>ok|changed|fatal|failed): \[(?P<host>[^\] ]+)(?: -> [^\]]+)?\]")


@dataclass(frozen=True)
class Recap:
    """One host's line of the PLAY RECAP."""

    ok: int = 0
    changed: int = 0
    unreachable: int = 0
    failed: int = 0
    skipped: int = 0
    rescued: int = 0
    ignored: int = 0


@dataclass(frozen=True)
class PlaybookRun:
    """What a run came to. ``recap`` has a row for each host, the control node (localhost) too."""

    command: list[str]
    rc: int
    stdout: str  # with stderr, in the order it was printed
    seconds: float
    log: Path
    recap: dict[str, Recap] = field(default_factory=dict)

    def tasks(self, *statuses: str) -> list[tuple[str, str]]:
        """(host, task) of every result with one of the statuses: ok, changed, fatal, failed."""
        return [(host, task) for status, host, task in results(self.stdout) if status in statuses]

    @property
    def changed(self) -> list[tuple[str, str]]:
        """(host, task) of every change."""
        return self.tasks("changed")

    @property
    def failed(self) -> list[tuple[str, str]]:
        """(host, task) of every failure, rescued ones too."""
        return self.tasks("fatal", "failed")

    def assert_unchanged(self) -> None:
        """Fail, naming the tasks, unless nothing was changed on any host."""
        assert self.recap, f"no recap: {self.tail()}"
        assert not any(row.changed for row in self.recap.values()), f"changed: {self.changed}"

    def tail(self, lines: int = 80) -> str:
        """The end of the output, for an error message."""
        return "\n".join([*self.stdout.splitlines()[-lines:], f"(all of it: {self.log})"])


def words(run: PlaybookRun) -> str:
    """The output with line breaks and blanks made one, since messages are wrapped."""
    return " ".join(run.stdout.split())


def parse_recap(output: str) -> dict[str, Recap]:
    """The PLAY RECAP of ansible-playbook's default output, by host; empty where there is none."""
    rows = {}
    for line in output.rpartition("PLAY RECAP")[2].splitlines():
        found = RECAP.match(line)
        if found:
            counts = (pair.split("=") for pair in found["counts"].split())
            rows[found["host"]] = Recap(**{name: int(count) for name, count in counts})
    return rows


def results(output: str) -> Iterator[tuple[str, str, str]]:
    """(status, host, task) in order of appearance in ansible-playbook's default output."""
    task = ""
    for line in output.splitlines():
        if header := TASK.match(line):
            task = header["name"]
        elif result := RESULT.match(line):
            yield result["status"], result["host"], task


class RunningPlaybook:
    """ansible-playbook under way, so that a test can wait for a point in it and cut it off."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self.command, self.log = command, log
        self._started = time.monotonic()
        # A path of its own, short (sockets), so that no connection outlives the run or is shared.
        self._sockets = Path(tempfile.mkdtemp(prefix="ppocr-ssh-"))
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
                env={**environment, SOCKETS: str(self._sockets)},
            )  # fmt: skip

    @property
    def output(self) -> str:
        """All it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, timeout: float = 300) -> None:
        """Wait (seconds) until ``text`` was printed. Raises LabError if the run ends without."""
        until(lambda: text in self.output or self.process.poll() is not None, timeout, every=0.1)
        if text not in self.output:
            self.kill()
            raise LabError(f"{text!r} was not printed:\n{self.output[-6000:]}")

    def wait(self, timeout: float = RUN_SECONDS) -> PlaybookRun:
        """Wait for the end (seconds). A run that takes longer is killed, and raises LabError."""
        try:
            rc = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(f"no end within {timeout:g} s:\n{self.output[-6000:]}") from None
        except BaseException:
            self.kill()
            raise
        self._clean_up()
        return self._result(rc)

    def kill(self) -> PlaybookRun:
        """End it, with all it started here, as if the control node had lost its power."""
        self.process.kill()
        rc = self.process.wait(60)
        self._clean_up()
        return self._result(rc)

    def interrupt(self, timeout: float = 60) -> PlaybookRun:
        """End it as Ctrl-C does, and wait (seconds) until it has ended."""
        self.process.send_signal(signal.SIGINT)
        return self.wait(timeout)

    def _clean_up(self) -> None:
        """End the connections ssh keeps for reuse, and workers that lost their parent.

        Ansible's workers have sessions of their own: no signal to a process group reaches them.
        """
        until(self._all_ended, timeout=10, every=0.1)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _all_ended(self) -> bool:
        left = _started_with(f"{SOCKETS}={self._sockets}")
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return not left

    def _result(self, rc: int) -> PlaybookRun:
        output = self.output
        seconds = time.monotonic() - self._started
        return PlaybookRun(self.command, rc, output, seconds, self.log, parse_recap(output))


class Playbooks:
    """Runs playbooks of this repository on lab hosts; logs and inventories go to ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._count = 0

    def __call__(
        self,
        name: str,
        hosts: Iterable[Host],
        *args: str,
        extra_vars: Mapping[str, Any] | None = None,
        group_vars: Mapping[str, Any] | None = None,
        check: bool = False,
        expect_rc: int | None = 0,
        timeout: float = RUN_SECONDS,
        env: Mapping[str, str] | None = None,
    ) -> PlaybookRun:
        """Run ``playbooks/<name>.yml`` (or a path) to its end, at most ``timeout`` seconds.

        Fails, with the end of the output, when the exit status is not ``expect_rc`` (None: any).
        """
        run = self.start(
            name, hosts, *args, extra_vars=extra_vars, group_vars=group_vars, check=check, env=env
        ).wait(timeout)
        assert expect_rc in (None, run.rc), f"exit {run.rc}, not {expect_rc}:\n{run.tail()}"
        return run

    def start(
        self,
        name: str,
        hosts: Iterable[Host],
        *args: str,
        extra_vars: Mapping[str, Any] | None = None,
        group_vars: Mapping[str, Any] | None = None,
        check: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> RunningPlaybook:
        """Begin a run and return at once; the caller waits for it, or kills it."""
        self._count += 1
        stem = self.folder / f"{self._count:02d}-{Path(name).stem}"
        playbook = name if name.endswith((".yml", ".yaml")) else f"playbooks/{name}.yml"
        hosts_file = inventory.write(stem.with_suffix(".hosts.yml"), hosts, group_vars)
        command = [_ansible_playbook(), "-i", str(hosts_file), playbook, *args]
        if check:
            command += ["--check", "--diff"]
        if extra_vars:
            vars_file = stem.with_suffix(".vars.json")
            vars_file.write_text(json.dumps(extra_vars, default=str))
            command += ["-e", f"@{vars_file}"]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            # Every task and result, for the logs and what is read from them.
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            # Otherwise a task's name is printed with its first result, too late to wait for.
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true",
            "COLUMNS": "200",
            **(env or {}),
        }
        return RunningPlaybook(command, stem.with_suffix(".log"), environment)


def _started_with(setting: str) -> list[int]:
    """The live processes of this machine that have an environment setting (NAME=value)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if setting.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _ansible_playbook() -> str:
    """That of the environment the tests run in, else the one on PATH."""
    beside = Path(sys.executable).parent / "ansible-playbook"
    return str(beside) if beside.exists() else "ansible-playbook"
