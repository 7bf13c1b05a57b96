"""What runs leave in the history, and the hooks they call, as ansible-playbook does both.

This machine stands for the hosts, with a ``docker`` that knows one container.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plays import words
from role_code import ROOT

from ppocr_control import history
from tests.tiers import first_by_default

pytestmark = pytest.mark.slow
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
DOCKER = """#!/bin/sh
case "$*" in
  *org.ppocr.edge*) ;;
  *json*) cat <<'END'
{"image": "ppocr:1.0.0", "image_id": "sha256:0123456789abcdef", "version": "1.0.0"}
END
  ;;
  *--quiet*) echo 0123 ;;
esac
"""
HOOK = """#!/bin/sh
env | grep ^PPOCR_RUN_ | sort >>{folder}/said
echo {name} was here
exit {status}
"""


class Control:
    """A control node with an inventory, hooks beside it, and two hosts that are this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "bin/docker").write_text(DOCKER)
        (folder / "bin/docker").chmod(0o755)
        self.inventory = folder / "my"
        (self.inventory / "hooks").mkdir(parents=True)
        self.settings = {
            "ansible_connection": "local", "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "deploy_lock_path": f"{folder}/lock-{{{{ inventory_hostname }}}}",
            "ppocr_history_file": f"{folder}/history-{{{{ inventory_hostname }}}}.jsonl",
            "ppocr_history_control_file": f"{folder}/control.jsonl",
        }  # fmt: skip
        hosts = {"ppocr_hosts": {"hosts": {"ocr1": None, "ocr2": None}, "vars": self.settings}}
        (self.inventory / "hosts.yml").write_text(json.dumps(hosts))

    def hook(self, name: str, status: int = 0, text: str = HOOK) -> Path:
        path = self.inventory / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(folder=self.folder, name=path.name, status=status))
        path.chmod(0o755)
        return path

    def run(self, playbook: str | Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = playbook if isinstance(playbook, Path) else ROOT / f"playbooks/{playbook}.yml"
        environment = {
            **os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "COLUMNS": "200",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
        }  # fmt: skip
        return subprocess.run(
            [str(PLAYBOOK), "-i", str(self.inventory), str(path), *arguments], env=environment,
            check=False, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def deploy(self, *arguments: str, breaks: str = "none") -> subprocess.CompletedProcess[str]:
        """What deploy.yml does around its roles, with a task that fails on one host."""
        release = {"name": "deploy_lock", "tasks_from": "release"}
        roles = [{"name": "Lock", "import_role": {"name": "deploy_lock"}}]
        fails = {
            "name": "Break",
            "fail": {"msg": "no disk"},
            "when": f"inventory_hostname == '{breaks}'",
        }
        play = {
            "name": "Deploy", "hosts": "ppocr_hosts", "gather_facts": False,
            "tasks": [{"name": "Deploy", "block": [*roles, fails], "always": [
                {"name": "Write", "import_role": {"name": "ppocr_history"}},
                {"name": "Release", "import_role": release},
            ]}],
        }  # fmt: skip
        begin = {
            "name": "Begin", "import_playbook": str(ROOT / "playbooks/shared/begin.yml"),
            "vars": {"ppocr_history_verb": "deploy"},
        }  # fmt: skip
        path = self.folder / "deploy.yml"
        path.write_text(json.dumps([begin, play]))
        return self.run(path, *arguments)

    def lines(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name
        return history.parse(path.read_text()) if path.exists() else []

    @property
    def said(self) -> list[dict[str, str]]:
        """The variables of each hook that ran."""
        path = self.folder / "said"
        lines = path.read_text().splitlines() if path.exists() else []
        pairs = [line.removeprefix("PPOCR_RUN_").partition("=")[::2] for line in lines]
        return [dict(pairs[start : start + 7]) for start in range(0, len(pairs), 7)]


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path)


def test_a_run_leaves_a_line_on_each_host_and_here(control: Control) -> None:
    secret = "-e", '{"hubserving_tokens": ["s3cret-token"]}'
    done = control.deploy(*secret)
    assert done.returncode == 0, words(done)
    (here1, here2), (there,) = control.lines("control.jsonl"), control.lines("history-ocr2.jsonl")
    assert (here1["host"], here2["host"]) == ("ocr1", "ocr2")
    assert here1["run"] == here2["run"] == there["run"]
    assert there["verb"] == "deploy" and there["result"] == "ok" and "@" in there["who"]
    assert there["when"].endswith("+00:00") and there["revision"]
    assert (there["image"], there["version"]) == ("ppocr:1.0.0", "1.0.0")
    assert there["image_id"] == here2["image_id"] == "sha256:0123456789abcdef"
    assert "hubserving_tokens" in there["settings"] and "deploy_lock_path" in there["settings"]
    assert (control.folder / "history-ocr2.jsonl").stat().st_mode & 0o777 == 0o600

    control.deploy(*secret)
    assert control.lines("history-ocr2.jsonl")[-1]["settings"] == []
    control.deploy("-e", "hubserving_queue=5")
    assert control.lines("history-ocr2.jsonl")[-1]["settings"] == [
        "hubserving_queue", "hubserving_tokens",
    ]  # fmt: skip
    written = [path.read_text() for path in control.folder.glob("*.json*")]
    assert not any("s3cret" in text for text in written)


@pytest.mark.full
def test_a_failure_is_recorded_with_its_message_and_calls_its_hook(control: Control) -> None:
    control.hook("post-deploy")
    control.hook("on-failure")
    done = control.deploy(breaks="ocr2")
    assert done.returncode == 2
    rows = {row["host"]: row for row in control.lines("control.jsonl")}
    assert rows["ocr1"]["result"] == "ok"
    assert rows["ocr2"]["result"] == "failed" and rows["ocr2"]["message"] == "no disk"
    assert control.lines("history-ocr2.jsonl")[0]["result"] == "failed"
    (said,) = control.said
    assert said["RESULT"] == "failed" and said["FAILED_HOSTS"] == "ocr2"
    assert said["MESSAGE"] == "ocr2: no disk" and said["VERB"] == "deploy"


def test_hooks_run_once_and_are_told_of_the_run(control: Control) -> None:
    control.hook("pre-deploy/10-drain")
    control.hook("pre-deploy/20-tell")
    control.hook("post-deploy", status=3)
    done = control.deploy("-e", "ppocr_version=1.0.1")
    assert done.returncode == 0  # what a hook says at the end does not change the result
    assert "10-drain was here" in words(done) and "post-deploy failed with status 3" in words(done)
    assert [said["RESULT"] for said in control.said] == ["", "", "ok"]
    assert control.said[0]["HOSTS"] == "ocr1,ocr2" and control.said[0]["VERSION"] == "1.0.1"
    assert control.deploy("--check").returncode == 0
    assert len(control.said) == 3 and len(control.lines("control.jsonl")) == 2


def test_a_failing_pre_deploy_stops_the_run_before_anything_is_changed(control: Control) -> None:
    hook = control.hook("pre-deploy", status=4)
    control.hook("on-failure")
    done = control.run("deploy", "-e", "ppocr_version=1.0.1")
    assert done.returncode == 2
    assert f"The hook {hook} failed with status 4. Its output: pre-deploy was here" in words(done)
    assert "Deploy the OCR service" not in done.stdout
    assert [row["result"] for row in control.lines("control.jsonl")] == ["failed", "not run"]
    assert not control.lines("history-ocr1.jsonl") and len(control.said) == 2


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    first_by_default(
        [
            (
                "#!/bin/sh\necho began\nsleep 60\n",
                0o755,
                "did not end within 1 s (ppocr_hooks_timeout)",
            ),
            ("#!/bin/sh\n", 0o644, "is not executable: run chmod +x on it"),
            ("#!/no/such\n", 0o755, "cannot be run"),
        ]
    ),
)
def test_a_hook_that_cannot_do_its_work(control: Control, text: str, mode: int, says: str) -> None:
    control.hook("pre-deploy", text=text).chmod(mode)
    done = control.deploy("-e", "ppocr_hooks_timeout=1")
    assert done.returncode == 2 and says in words(done)


@pytest.mark.full
def test_stop_is_recorded_and_the_table_has_all_hosts_by_time(control: Control) -> None:
    control.hook("pre-deploy", status=4)  # not for a stop
    assert control.run("stop").returncode == 0
    other = {"when": "2026-01-01T00:00:00+00:00", "host": "ocr2", "verb": "ship", "run": "x"}
    with (control.folder / "history-ocr2.jsonl").open("a") as file:
        file.write(json.dumps(other) + "\n")
    shown = control.run("history").stdout
    rows = [line for line in shown.splitlines() if " ocr" in line and "+00:00" in line]
    assert "ship" in rows[0] and "ocr2" in rows[0]
    assert len(rows) == 3 and all("stop" in row and "ok" in row for row in rows[1:])
    last = control.run("history", "-e", "ppocr_history_rows=1").stdout
    assert last.count("+00:00") == 1


def test_a_history_is_bounded_and_survives_a_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "a/history.jsonl"
    for number in range(5):
        history.append(path, [{"when": str(number), "host": "a", "run": str(number)}], keep=3)
    with path.open("a") as file:
        file.write('{"when": "9", "ho')
    assert [row["when"] for row in history.merge(path.read_text())] == ["2", "3", "4"]
    with path.open("ab") as file:
        file.write('{"message": "镜'.encode()[:-1])
    for number in (5, 6):
        history.append(path, [{"when": str(number), "host": "a", "run": str(number)}], keep=3)
    assert [row["when"] for row in history.merge(path.read_text(errors="replace"))] == ["5", "6"]


def test_a_host_goes_on_from_files_that_a_full_disk_has_cut_off(control: Control) -> None:
    (control.folder / "history-ocr1.jsonl").write_bytes('{"message": "镜'.encode()[:-1])
    (control.folder / "history-ocr1-settings.json").write_text("")
    done = control.deploy()
    assert "was not written" not in done.stdout + done.stderr
    lines = (control.folder / "history-ocr1.jsonl").read_text(errors="replace")
    assert [row["host"] for row in history.parse(lines)] == ["ocr1"]
    assert json.loads((control.folder / "history-ocr1-settings.json").read_text())


@pytest.mark.full
def test_a_host_keeps_its_newest_lines(control: Control) -> None:
    for _ in range(3):
        control.deploy("-e", "ppocr_history_keep=2")
    assert len(control.lines("history-ocr1.jsonl")) == 2
    assert len(control.lines("control.jsonl")) == 2
