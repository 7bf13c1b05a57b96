"""Fixtures for tests on lab hosts: ``lab``, ``playbook``, and ``fresh_host`` for a test's own."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import signal
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostlab import Host, HostSpec, Lab, LabError, Playbooks
from hostlab.lab import all_labs, state_folder

SESSION = f"pytest-{os.getpid()}"


class ModuleLab:
    """Hosts of a test module; the same name gives the same host again, as long as it is alike."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.state: Path = lab.state

    def host(self, spec: HostSpec | str, **options: Any) -> Host:
        """The host of a spec, or of a name and HostSpec's options; brought up when needed."""
        return self.hosts(HostSpec(spec, **options) if isinstance(spec, str) else spec)[0]

    def hosts(self, *specs: HostSpec) -> list[Host]:
        """Several hosts, brought up at the same time."""
        return self._lab.up(specs)

    def remove(self, *hosts: Host) -> None:
        """Take hosts down before the module ends, to give memory back."""
        self._lab.remove(*hosts)


def _gone(names: Iterable[str]) -> list[str]:
    """Those of these names that are sessions whose process no longer is."""
    sessions = {name: name.removeprefix("pytest-") for name in names if name[:7] == "pytest-"}
    return [
        name
        for name, pid in sessions.items()
        if pid.isdigit() and not Path(f"/proc/{pid}").exists()
    ]


def _clear_past_sessions(state: Path) -> None:
    """Take down what a killed session left behind, and its logs, which nobody will read now."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "clear.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # sessions that begin together must not both do it
        for name in _gone({*all_labs(), *(folder.name for folder in state.glob("pytest-*"))}):
            Lab(name).down()
            shutil.rmtree(state / name, ignore_errors=True)


def _interrupt(signal_number: int, frame: types.FrameType | None) -> None:
    # One is enough: a second (whoever ends a group of processes sends one to each, and so does the
    # parent of this one) would interrupt what ends the playbook and takes the hosts down.
    signal.signal(signal_number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _gives_out_files(config: pytest.Config) -> bool:
    """Whether this process has others run the tests (pytest -n)."""
    return bool(config.getoption("numprocesses", None))


def pytest_configure(config: pytest.Config) -> None:
    if _gives_out_files(config):
        signal.signal(signal.SIGTERM, _interrupt)


def pytest_unconfigure(config: pytest.Config) -> None:
    """pytest -n gives an interrupted process ten seconds, which may be too few for its hosts."""
    if _gives_out_files(config) and os.environ.get("PPOCR_LAB_KEEP") != "1":
        with contextlib.suppress(LabError):  # without an engine there is nothing to take down
            for name in _gone(all_labs()):
                Lab(name).down()


@pytest.fixture(scope="session")
def session_lab() -> Iterator[Lab]:
    """The lab of this session, gone at its end (also when it is interrupted).

    PPOCR_LAB_KEEP=1 leaves them: look at them with scripts/lab status --name pytest-<pid>.
    """
    session = Lab(SESSION)
    keep = os.environ.get("PPOCR_LAB_KEEP") == "1"
    if not keep:
        _clear_past_sessions(session.state.parent)
    # pytest turns Ctrl-C into an orderly end; a terminate signal is to end the same way.
    before = signal.signal(signal.SIGTERM, _interrupt)
    if not keep:
        atexit.register(session.down)
    try:
        yield session
    finally:
        signal.signal(signal.SIGTERM, before)
        if keep:
            print(f"\nlab hosts kept: scripts/lab status --name {SESSION}")
        else:
            session.down()
            atexit.unregister(session.down)


@pytest.fixture(scope="module")
def lab(session_lab: Lab) -> Iterator[ModuleLab]:
    """Hosts for one test module: what it brought up is gone before the next begins."""
    yield ModuleLab(session_lab)
    if os.environ.get("PPOCR_LAB_KEEP") != "1":
        session_lab.remove(*session_lab.hosts())


@pytest.fixture
def fresh_host(lab: ModuleLab) -> Iterator[Callable[..., Host]]:
    """``fresh_host(name, **options)``: a host nobody used before, gone after the test."""
    made: list[Host] = []

    def make(name: str, **options: Any) -> Host:
        host = lab.host(name, **options)
        made.append(host)
        return host

    yield make
    lab.remove(*made)


@pytest.fixture(scope="session")
def playbook() -> Playbooks:
    """``playbook(name, hosts, *args, ...)`` runs ansible-playbook; ``.start(...)`` only begins.

    Logs and inventories stay in .lab/<session>/runs.
    """
    return Playbooks(state_folder(SESSION) / "runs")
