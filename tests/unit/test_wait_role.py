"""Waiting for a container: one that gave up ends it at once, whatever the engine still says."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from role_code import load

ROOT = Path(__file__).parents[2]
STARTED = "2026-11-26T22:35:55.123456789Z"
GAVE_UP = (
    "not ready: gave up after 3 failures in a row: a worker cannot start: No module named 'x'\n"
)
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Wait
      ansible.builtin.include_role:
        name: hubserving
        tasks_from: wait.yml
        rolespec_validate: false
      vars: {__hubserving_waiting_for: ppocr}
"""


def state(health, *looks, running=True, started=STARTED):
    log = [{"Start": start, "Output": output} for start, output in looks]
    return {
        "Running": running,
        "StartedAt": started,
        "Health": {"Status": health, "FailingStreak": len(log), "Log": log or None},
    }


def waited(folder, *states):
    """(finished ansible-playbook, times the engine was asked) where it answers these in turn."""
    for number, answer in enumerate(states):
        (folder / f"{number}.json").write_text(json.dumps(answer))
    docker = folder / "docker"
    docker.write_text(
        f"#!{sys.executable}\n"
        "import pathlib\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "asked = len(list(folder.glob('asked-*')))\n"
        "(folder / f'asked-{asked}').touch()\n"
        f"print((folder / f'{{min(asked, {len(states) - 1})}}.json').read_text())\n"
    )
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    play = folder / "play.yml"
    play.write_text(PLAY)
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,"]
    finished = subprocess.run(
        [
            *command,
            "--connection=local",
            "-e",
            f"ansible_python_interpreter={sys.executable}",
            play,
        ],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return finished, len(list(folder.glob("asked-*")))


@pytest.mark.slow
def test_a_container_that_gave_up_is_not_waited_for(tmp_path):
    # The host's time zone is not UTC: only as times these can be compared.
    look = ("2026-11-27T06:36:20.2+08:00", GAVE_UP)
    finished, asked = waited(tmp_path, state("starting"), state("starting", look))
    assert finished.returncode != 0
    assert asked == 2, finished.stdout


@pytest.mark.slow
def test_what_it_said_before_it_was_started_again_is_over(tmp_path):
    look = ("2026-11-26T22:35:54.9Z", GAVE_UP)
    ready = ("2026-11-26T22:36:20Z", '{"ready": true}')
    finished, asked = waited(tmp_path, state("starting", look), state("healthy", look, ready))
    assert finished.returncode == 0, finished.stdout
    assert asked == 2


@pytest.mark.slow
def test_one_that_starts_slowly_is_waited_for(tmp_path):
    look = ("2026-11-26T22:38:50Z", "not ready: the service is starting\n")
    slow = state("unhealthy", ("2026-11-26T22:38:33Z", SLOW), look)
    ready = state("healthy", ("2026-11-26T22:39:00Z", '{"ready": true}'))
    finished, asked = waited(tmp_path, state("starting"), slow, ready)
    assert finished.returncode == 0, finished.stdout
    assert asked == 3


@pytest.mark.parametrize(
    ("told", "waits"),
    [
        (state("starting"), True),
        (state("unhealthy", (STARTED, "Health check exceeded timeout (12s)")), True),
        (state("unhealthy", (STARTED, "not ready: no worker lives\n")), False),
        (state("unhealthy", (STARTED, GAVE_UP)), False),
        (state("healthy"), False),
        (state("starting", running=False), False),
        ({"Running": True, "Health": None}, False),
    ],
    ids=range(7),
)
def test_which_containers_may_yet_become_healthy(told, waits):
    plugin = load("plugins/filter/hubserving_status.py")
    assert plugin.hubserving_is_starting(json.dumps(told)) is waits


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (state("starting", (STARTED, GAVE_UP)), "It gave up after 3 failures in a row: a worker "),
        (state("healthy", (STARTED, GAVE_UP)), "It gave up after 3 failures in a row: a worker "),
        (state("starting"), ""),
        (state("starting", (STARTED, "not ready: the service is starting\n")), ""),
        ({"Running": False}, ""),
        ({"Running": True, "Health": None}, ""),
    ],
    ids=range(6),
)
def test_what_a_container_says_of_giving_up(told, sentence):
    plugin = load("plugins/filter/hubserving_status.py")
    said = plugin.hubserving_gave_up(json.dumps(told))
    assert said.startswith(sentence) and bool(said) is bool(sentence)


@pytest.mark.parametrize("text", ["", "Error: No such container", "[]", "null"])
def test_what_is_no_state_has_not_given_up(text):
    plugin = load("plugins/filter/hubserving_status.py")
    assert plugin.hubserving_gave_up(text) == ""


SLOW = "Health check exceeded timeout (12s)"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (state("unhealthy", (STARTED, SLOW)), f"times in a row, at last with: {SLOW}."),
        (state("unhealthy", (STARTED, GAVE_UP)), "It gave up after 3 failures in a row: a worker "),
        (state("starting", (STARTED, SLOW)), ""),
        (state("unhealthy"), ""),
        ({"Running": False}, ""),
    ],
    ids=range(5),
)
def test_why_a_container_did_not_become_healthy(given, sentence):
    plugin = load("plugins/filter/hubserving_status.py")
    said = plugin.hubserving_not_healthy(json.dumps(given))
    assert sentence in said and bool(said) is bool(sentence)
