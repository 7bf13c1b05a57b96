"""playbooks/exec.yml: what a command says, by host, and whether it failed.

This machine stands for two hosts, with a ``docker`` whose exec runs the command here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from role_code import ROOT

pytestmark = pytest.mark.slow
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
INSPECTED = [{
    "Id": "0123", "Name": "/ppocr", "State": {"Running": True}, "Mounts": [],
    "Config": {"Labels": {"org.ppocr.instance": "ppocr", "org.ppocr.content": "0"}},
}]  # fmt: skip
DOCKER = f"""#!/bin/sh
case "$1 $2" in
  "ps "*) echo 0123 ;;
  "container inspect") echo '{json.dumps(INSPECTED)}' ;;
  "exec ppocr") shift 2; exec "$@" ;;
esac
"""


@pytest.fixture
def run(tmp_path: Path):
    """``run("-e", "cmd=...")`` runs the playbook."""
    stub = tmp_path / "bin/docker"
    stub.parent.mkdir()
    stub.write_text(DOCKER)
    stub.chmod(0o755)
    here = {
        "ansible_connection": "local", "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
    }  # fmt: skip
    inventory = tmp_path / "hosts.yml"
    hosts = {"ppocr_hosts": {"hosts": {"ocr1": None, "ocr2": None}, "vars": here}}
    inventory.write_text(json.dumps(hosts))
    environment = {
        **os.environ, "PATH": f"{stub.parent}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "COLUMNS": "200",
    }  # fmt: skip

    def play(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [str(PLAYBOOK), "-i", str(inventory), str(ROOT / "playbooks/exec.yml"), *arguments],
            env=environment, check=False, capture_output=True, text=True, timeout=300,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done.returncode, " ".join(done.stdout.split())

    return play


def test_output_is_printed_by_host(run) -> None:
    status, said = run("-e", "cmd='echo one; echo two >&2'")
    assert status == 0, said
    assert "ocr1, ocr2: one two" in said


def test_a_command_that_fails_shows_its_output_and_fails_the_run(run) -> None:
    status, said = run("-e", "cmd='echo why; exit 3'")
    assert status == 2 and "ocr1, ocr2: why" in said
    assert "The command failed with status 3 (ppocr)" in said


def test_without_a_command_the_run_says_how(run) -> None:
    status, said = run()
    assert status == 2 and "No command is given: -e cmd='ls -l /tmp'" in said
