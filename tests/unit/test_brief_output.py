"""What a run prints: a screen of it where nothing fails, each error once, all of it with -v."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
LONG = "write a whole number from 1 to 256, or leave it out, and then run the deploy once more"


def printed(folder: Path, tasks: list[dict[str, Any]], *arguments: str) -> list[str]:
    """Run tasks in a role on two hosts that are this machine; return the lines on the screen."""
    role = folder / "roles/things/tasks"
    role.mkdir(parents=True, exist_ok=True)
    (role / "main.yml").write_text(json.dumps(tasks))
    use = {"name": "Do things", "ansible.builtin.import_role": {"name": "things"}}
    play = {"name": "All of it", "hosts": "all", "gather_facts": False, "tasks": [use]}
    (folder / "play.yml").write_text(json.dumps([play]))
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"), "-i", "h1,h2,",
            "--connection=local", "-e", f"ansible_python_interpreter={sys.executable}",
            str(folder / "play.yml"), *arguments,
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
             "ANSIBLE_ROLES_PATH": str(folder / "roles")},
        capture_output=True, text=True, check=False, cwd=folder, timeout=120,
    )  # fmt: skip
    return (done.stdout + done.stderr).splitlines()


def command(name: str, line: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "ansible.builtin.command": line, **more}


def test_a_run_names_its_steps_and_what_it_changed(tmp_path: Path) -> None:
    many = [command(f"Look at {number}", "true", changed_when=False) for number in range(5)]
    table = {"msg": ["{", '  "a": "it\'s"', "}"]}
    lines = printed(tmp_path, [
        *many,
        command("Write a file", "true"),
        {"name": "Leave out", "ansible.builtin.command": "true", "when": False},
        {"name": "Say", "ansible.builtin.debug": {"msg": "all is well"}},
        {"name": "Show", "ansible.builtin.debug": table, "run_once": True},
        {"name": "Print", "ansible.builtin.debug": {"var": "inventory_hostname"}, "run_once": True},
    ])  # fmt: skip
    body = [line for line in lines if line and not line.startswith(("PLAY", "  …"))]
    assert body[:-2] == [
        "Do things",
        "  changed: [h1, h2] Write a file",
        "  h1, h2: all is well",
        "  {",
        '    "a": "it\'s"',
        "  }",
        "  inventory_hostname: h1",
    ]
    assert all("changed=1" in line for line in body[-2:])


def test_check_mode_says_would(tmp_path: Path) -> None:
    touch = {"name": "Touch", "ansible.builtin.file": {"path": f"{tmp_path}/a", "state": "touch"}}
    lines = printed(tmp_path, [touch], "--check")
    assert "  would change: [h1, h2] Touch" in lines


def test_an_error_is_printed_once_for_all_hosts(tmp_path: Path) -> None:
    fail = {"name": "Check it", "ansible.builtin.fail": {"msg": f"A setting is wrong: {LONG}"}}
    lines = printed(tmp_path, [fail])
    text = " ".join(" ".join(lines).split())
    assert text.count(LONG) == 1
    assert text.count("fatal: [h1]") == text.count("fatal: [h2]") == 1
    assert "the same as h" in text
    assert "Origin:" not in text and "[ERROR]" not in text
    assert max(len(line) for line in lines if "PLAY" not in line and " : ok=" not in line) < 80


def test_what_is_secret_stays_so_in_an_error(tmp_path: Path) -> None:
    fail = {"name": "Log in", "ansible.builtin.fail": {"msg": "hunter2"}, "no_log": True}
    text = "\n".join(printed(tmp_path, [fail]))
    assert "fatal: [h1]: " in text and "no_log" in text and "hunter2" not in text


def test_of_a_command_the_end_of_its_output_is_shown(tmp_path: Path) -> None:
    lines = printed(tmp_path, [command("Try", "sh -c 'seq 100; echo no such thing >&2; exit 3'")])
    text = "\n".join(lines)
    assert "]: Try: " in text and "\n    100" in text and "\n    50\n" not in text


def test_what_a_playbook_handles_itself_is_one_line(tmp_path: Path) -> None:
    block = {
        "block": [command("Try", "sh -c 'seq 100; exit 3'")],
        "rescue": [{"name": "Explain", "ansible.builtin.fail": {"msg": "It is full: make room"}}],
    }
    lines = printed(tmp_path, [block])
    assert [line for line in lines if "Try" in line and "failed: [h1]" in line]
    assert not any("100" in line for line in lines)
    assert sum("It is full: make room" in line for line in lines) == 1


def test_a_task_that_takes_long_is_named_while_it_runs(tmp_path: Path) -> None:
    lines = printed(tmp_path, [command("Wait for it", "sleep 5", changed_when=False)])
    assert lines.count("  … Wait for it") == 1


def test_everything_is_there_with_v(tmp_path: Path) -> None:
    text = "\n".join(printed(tmp_path, [command("Look", "true", changed_when=False)], "-v"))
    assert "TASK [things : Look]" in text and "ok: [h1] =>" in text
