"""Whose lock it is, and whether its holder still runs."""

import os
import subprocess
import sys

import pytest
from role_code import load


@pytest.fixture(scope="module")
def lock():
    return load("plugins/action/deploy_lock.py")


def test_a_process_is_alive_until_it_has_ended(lock):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = lock.process(child.pid)
    assert lock.is_alive(name) is True
    child.communicate(b"\n")
    assert lock.is_alive(name) is False


def test_a_number_that_is_used_again_is_another_process(lock):
    machine, pid, started = lock.process(os.getpid()).rsplit(" ", 2)
    assert lock.is_alive(f"{machine} {pid} {int(started) - 1}") is False


def test_another_machines_process_cannot_be_told(lock):
    assert lock.is_alive("elsewhere 1 1") is None


def test_the_message_names_holder_time_and_remedy(lock):
    holder = {"who": "ops@control", "pid": 7, "what": "Deploy", "since": "2026-01-01 00:00:00 UTC"}
    stale = lock.locked_message(holder, False, breaking=False)
    assert "ops@control, process 7 (Deploy), since 2026-01-01 00:00:00 UTC" in stale
    assert "stale" in stale and "-e deploy_lock_break=true" in stale
    assert "deploy_lock_break=true" in lock.locked_message(holder, None, breaking=False)
    assert "does not break" in lock.locked_message(holder, True, breaking=True)
