"""What removes or stops asks first, whatever way leads there.

ansible-playbook runs on this machine, with a ``docker`` that writes down how it was called.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from plays import words

from tests.tiers import first_by_default, for_full

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
REMOVES = ("network rm", "image rm", "rm --force", "stop ")
STUB = """#!/bin/sh
echo "$*" >>{calls}
case "$*" in "network ls"*) echo ppocr ;; "image ls"*content*) echo "sha256:1 ppocr:1.0.0" ;; esac
"""


class Here:
    """This machine under the names of hosts, with configuration that the role rendered."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"
        self.config = folder / "etc" / "ppocr" / "config.json"
        self.config.parent.mkdir(parents=True)
        self.config.write_text("{}")
        (self.config.parent / ".made-by-ppocr").touch()
        stub = folder / "bin" / "docker"
        stub.parent.mkdir()
        stub.write_text(STUB.format(calls=self.calls))
        stub.chmod(0o755)
        self.inventory = folder / "hosts.yml"
        self.inventory.write_text(
            json.dumps({
                "ppocr_hosts": {"hosts": {"ocr1": None, "ocr2": None}},
                "others": {"hosts": {"other1": None}},
                "empty": {},
            })
        )  # fmt: skip
        self.settings = {
            "ansible_connection": "local", "ansible_become": False,
            "ansible_python_interpreter": sys.executable, "remove_image": "yes",
            "hubserving_config_dir": str(folder / "etc"),
            "deploy_lock_path": str(folder / "lock-{{ inventory_hostname }}"),
            "ppocr_history_file": str(folder / "history.jsonl"),
            "ppocr_history_control_file": str(folder / "control-history.jsonl"),
        }  # fmt: skip

    def command(self, playbook: str, *arguments: str) -> list[str]:
        settings = json.dumps(self.settings)
        path = playbook if "/" in playbook else str(ROOT / "playbooks" / f"{playbook}.yml")
        return [str(PLAYBOOK), path, "-e", settings, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "200",
        }  # fmt: skip

    def run(
        self, playbook: str, *arguments: str, inventory: bool = True, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        named = ("-i", str(self.inventory)) if inventory else ()
        more.setdefault("stdin", subprocess.DEVNULL if "input" not in more else None)
        if more["stdin"] is None:
            del more["stdin"]
        return subprocess.run(
            self.command(playbook, *named, *arguments), env=self.environment, check=False,
            capture_output=True, text=True, timeout=300, cwd=self.folder, **more,
        )  # fmt: skip

    def type(self, answer: str, *arguments: str) -> str:
        """Run remove on a terminal and type; returns what the terminal shows."""
        child, control = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            command = self.command("remove", *arguments)
            os.execve(command[0], command, self.environment)  # noqa: S606
        shown, end = b"", time.monotonic() + 120
        while time.monotonic() < end:
            if not select.select([control], [], [], 1)[0]:
                if b"? Type " in shown:  # what is typed before ansible reads is thrown away
                    os.write(control, answer.encode() + b"\r")
                continue
            try:
                shown += os.read(control, 4096)
            except OSError:  # the other end is closed
                break
        else:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(control)
        return " ".join(shown.decode().split())

    @property
    def untouched(self) -> bool:
        called = self.calls.read_text() if self.calls.exists() else ""
        return self.config.exists() and not any(word in called for word in REMOVES)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    yield Here(tmp_path)


UNANSWERED = (
    ("--limit", "ocr1"),
    ("-e", "confirm="),
    ("--limit", "ocr1", "--tags", "all", "--start-at-task", "Take the lock"),
    ("--skip-tags", "always"),
)
MORE_OF_THEM = (
    (),
    ("-e", "ppocr_target=ocr2"),
    ("-e", "confirm=no"),
    ("--start-at-task", "Take the lock"),
    ("--start-at-task", "Remove containers, network and configuration"),
    ("--tags", "all"),
)


@pytest.mark.parametrize(
    "arguments",
    [*UNANSWERED, *for_full(*((each,) for each in MORE_OF_THEM))],
    ids=" ".join,
)
def test_nothing_is_removed_without_an_answer(here: Here, arguments: tuple[str, ...]) -> None:
    done = here.run("remove", *arguments)
    assert done.returncode == 2, words(done)
    assert "Nothing was removed" in words(done)
    assert "-e confirm=yes" in words(done)
    assert here.untouched


@pytest.mark.parametrize(("answers", "removed"), [((), False), (("-e", "confirm=yes"), True)])
def test_balancers_are_removed_with_the_service_alone(
    here: Here, answers: tuple[str, ...], removed: bool
) -> None:
    here.inventory.write_text(
        json.dumps(
            {"ppocr_hosts": {"hosts": {"ocr1": None}}, "ppocr_balancers": {"hosts": {"lb": None}}}
        )
    )
    start = (
        ()
        if removed
        else ("--start-at-task", "Remove HAProxy's and keepalived's units and configuration")
    )
    done = here.run("remove", "--check", "-v", *start, *answers)
    assert done.returncode == 0, words(done)
    assert ("balancer : Remove units and configuration" in words(done)) is removed


def test_an_answer_that_is_piped_in_is_none(here: Here) -> None:
    done = here.run("remove", "--limit", "ocr1", input="yes\n")
    assert done.returncode == 2, words(done)
    assert here.untouched


@pytest.mark.parametrize(
    "start_at",
    [
        pytest.param("", marks=pytest.mark.full),
        pytest.param("Remove the containers", marks=pytest.mark.full),
        "Remove the rendered configuration",
    ],
)
def test_a_play_of_ones_own_that_calls_the_role_asks_too(
    here: Here, tmp_path: Path, start_at: str
) -> None:
    play = tmp_path / "mine.yml"
    role = {"name": "hubserving", "tasks_from": "remove.yml"}
    play.write_text(
        json.dumps(
            [{
                "name": "Mine", "hosts": "ppocr_hosts", "gather_facts": False,
                "tasks": [{"name": "Remove", "ansible.builtin.import_role": role}],
            }]
        )
    )  # fmt: skip
    here.run(str(play), *(("--start-at-task", start_at) if start_at else ()))
    assert here.untouched


@pytest.mark.parametrize("answer", first_by_default(["Yes", "true"]))
def test_an_answer_given_beforehand_removes(here: Here, answer: str) -> None:
    done = here.run("remove", "--limit", "ocr1", "-e", f"confirm={answer}")
    assert done.returncode == 0, words(done)
    assert not here.config.exists()
    called = here.calls.read_text()
    assert "network rm ppocr" in called
    assert "image rm ppocr:1.0.0" in called


@pytest.mark.full
def test_check_mode_asks_nobody_and_removes_nothing(here: Here) -> None:
    done = here.run("remove", "--check")
    assert done.returncode == 0, words(done)
    assert here.untouched


def test_the_question_names_the_hosts_and_takes_yes_alone(here: Here) -> None:
    named = ("-i", str(here.inventory), "--limit", "ocr1")
    shown = here.type("sure", *named)
    assert (
        "Remove the OCR service and its configuration, and its images, on ocr1? Type yes" in shown
    )
    assert here.untouched
    here.type("yes", *named)
    assert not here.config.exists()


@pytest.mark.parametrize(
    "playbook",
    first_by_default(["remove", "stop", "rollback"]),
)
@pytest.mark.parametrize("confirm", first_by_default(["yes", "", "ocr1"]))
def test_without_an_inventory_this_machine_has_to_be_named(
    here: Here, playbook: str, confirm: str
) -> None:
    given = ("-e", f"confirm={confirm}") if confirm else ()
    done = here.run(playbook, *given, inventory=False)
    assert done.returncode == 2, words(done)
    assert "No inventory was named, so this would be done on this machine" in words(done)
    assert "-e confirm=localhost" in words(done)
    assert here.untouched


@pytest.mark.parametrize(
    ("playbook", "task"),
    first_by_default([
        ("remove", "Remove containers, network and configuration"), ("stop", "Stop the containers"),
        ("rollback", "Find the image to go back to"),
        ("rollback", "Run and test the service, batch by batch"),
    ]),
)  # fmt: skip
def test_no_later_task_gets_around_the_question(here: Here, playbook: str, task: str) -> None:
    done = here.run(playbook, "--start-at-task", task, inventory=False)
    assert done.returncode != 0, words(done)
    assert here.untouched


@pytest.mark.full
def test_this_machine_can_be_named(here: Here) -> None:
    done = here.run("remove", "-e", "confirm=localhost", inventory=False)
    assert done.returncode == 0, words(done)
    assert not here.config.exists()


@pytest.mark.full
def test_an_inventory_that_is_named_is_stopped_without_a_question(here: Here) -> None:
    done = here.run("stop")
    assert done.returncode == 0, words(done)
    done = here.run("stop", "-i", str(ROOT / "inventory/local"), inventory=False)
    assert done.returncode == 0, words(done)


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda p: p.stem)
def test_every_playbook_begins_with_the_check_of_its_group(path: Path) -> None:
    first = yaml.safe_load(path.read_text())[0]
    assert first["ansible.builtin.import_playbook"] == "shared/target.yml"


@pytest.mark.parametrize("playbook", first_by_default(["remove", "deploy"]))
def test_a_group_without_a_host_is_no_success(here: Here, playbook: str) -> None:
    for arguments in (("-e", "ppocr_target=empty"), ("--limit", "other1")):
        done = here.run(playbook, "-e", "confirm=yes", *arguments)
        assert done.returncode == 2, words(done)
        assert "matches no host of the inventory" in words(done)
        assert "It has the groups empty, others, ppocr_hosts" in words(done)
        assert "ppocr_target" in words(done)
    assert here.untouched


def test_another_group_can_be_named(here: Here) -> None:
    done = here.run("status", "-e", "ppocr_target=others")
    assert done.returncode == 0, words(done)
    assert "other1" in done.stdout
