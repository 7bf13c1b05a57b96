"""Plays and playbooks, run on this machine with ansible-playbook."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from role_code import ROOT


def run_play(folder: Path, play: str, hosts: dict, *arguments: str) -> tuple[int, str]:
    """Run a play; return its status and output, blanks and line breaks made one."""
    (folder / "play.yml").write_text(play)
    (folder / "hosts.json").write_text(json.dumps({"ppocr_hosts": {"hosts": hosts}}))
    ansible = Path(sys.executable).parent / "ansible-playbook"
    done = subprocess.run(
        [ansible, "-i", folder / "hosts.json", folder / "play.yml", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "PPOCR_ROOT": str(ROOT),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "HOME": str(folder),
        },
        check=False,
    )
    return done.returncode, words(done)


def words(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed, blanks and line breaks made one."""
    return " ".join((done.stdout + done.stderr).split())
