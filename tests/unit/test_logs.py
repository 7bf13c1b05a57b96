"""scripts/logs: lines as the containers wrote them, of several hosts, in the order of time.

A stand-in plays ssh: it logs in to this machine, where ``docker`` has the logs of that host.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SSH = """\
#!/bin/sh
printf '%s\\n' "$*" >>"$FAKE/calls"
for last; do [ "$before" != -- ] || export HOST=$last; before=$last; done
case " $* " in
  *" -G "*) printf 'hostname 192.0.2.7\\n'; exit ;;
  *" -O check "*) exit 255 ;;
  *" -O exit "*) exit 0 ;;
  *" -fN "*) [ "$HOST" != gone ] || { echo 'ssh: connect to host gone port 22: Connection refused' >&2; exit 255; }; exit 0 ;;
esac
echo 'Welcome to this host'
exec setsid sh -c "$last"  # as sshd does
"""  # noqa: E501
DOCKER = """\
#!/bin/sh
case "$*" in
  "ps "*) printf '%s ppocr\\n' ppocr theirs ppocr-edge ppocr_service.1.x; echo 'other '; exit ;;
  "logs "*ppocr-edge*) cat "$FAKE/edge.log"; exit ;;
  "logs "*ppocr_service*) cat "$FAKE/task.log"; exit ;;
  "logs "*theirs* | "logs "*other*) echo '2026-11-27T10:00:00.000000000Z not ours'; exit ;;
  "logs "*) cat "$FAKE/${HOST:-here}.log" ;;
esac
case "$*" in *--follow*)
  sleep 1; cat "$FAKE/${HOST:-here}.more"; echo $$ >"$FAKE/${HOST:-here}.pid"; exec sleep 300 ;;
esac
"""


def line(minute: int, **more: Any) -> str:
    return json.dumps({"message": 'it\'s "quoted" und größer', "minute": minute, **more})


def written(folder: Path, name: str, *minutes: int) -> None:
    lines = [f"2026-11-27T10:{minute:02}:00.000000000Z {line(minute)}\n" for minute in minutes]
    (folder / name).write_text("".join(lines))


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """The folder of the stand-ins; hosts web1, web2 and here have logs."""
    for name, text in (("ssh", SSH), ("docker", DOCKER)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    written(tmp_path, "web1.log", 1, 4)
    written(tmp_path, "web2.log", 2, 3)
    written(tmp_path, "here.log", 5)
    (tmp_path / "edge.log").touch()
    (tmp_path / "task.log").touch()
    for name, minute in (("web1", 8), ("web2", 7), ("here", 9)):
        written(tmp_path, f"{name}.more", minute)
    return tmp_path


def command(fake: Path, hosts: dict[str, Any], *arguments: str) -> tuple[list[str], dict[str, Any]]:
    inventory = fake / "hosts.yml"
    inventory.write_text(json.dumps({"ppocr_hosts": {"hosts": hosts}}))
    environment = {
        **os.environ, "FAKE": str(fake), "PATH": f"{fake}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
    }  # fmt: skip
    run = [sys.executable, "-m", "ppocr_control.commands.logs", "-i", str(inventory), *arguments]
    return run, {"env": environment, "text": True, "cwd": fake}


def logs(fake: Path, hosts: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    run, how = command(fake, hosts, *arguments)
    return subprocess.run(run, capture_output=True, check=False, timeout=60, **how)


WEB = {"ocr1": {"ansible_host": "web1", "word": "ops", "ansible_user": "{{ word }}"},
       "ocr2": {"ansible_host": "web2", "ansible_port": 2222}}  # fmt: skip
HERE = {"ocr3": {"ansible_connection": "local"}}


def test_lines_are_raw_and_in_the_order_of_time(fake: Path) -> None:
    done = logs(fake, {**WEB, **HERE})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [line(minute) for minute in range(1, 6)]
    calls = (fake / "calls").read_text()
    assert "-l ops" in calls and "-p 2222" in calls


def test_a_host_can_be_chosen_and_named(fake: Path) -> None:
    written(fake, "edge.log", 6)
    written(fake, "task.log", 7)  # of a swarm
    done = logs(fake, {**WEB, **HERE}, "--limit", "ocr3", "--prefix")
    names = {"ppocr": 5, "ppocr-edge": 6, "ppocr_service.1.x": 7}
    assert done.stdout == "".join(f"ocr3 {name}: {line(at)}\n" for name, at in names.items())
    (fake / "edge.log").write_text("")
    (fake / "task.log").write_text("")
    done = logs(fake, WEB, "--limit", "ocr1", "--json")
    read = [json.loads(text) for text in done.stdout.splitlines()]
    assert [(each["host"], each["text"]) for each in read] == [("ocr1", line(1)), ("ocr1", line(4))]


def test_a_host_out_of_reach_does_not_hide_the_others(fake: Path) -> None:
    done = logs(fake, {"ocr0": {"ansible_host": "gone"}, **HERE})
    assert done.returncode == 4
    assert done.stdout == f"{line(5)}\n"
    assert done.stderr.startswith("error: gone (ssh: ")
    assert "the host cannot be reached" in done.stderr


def test_keys_of_new_hosts_are_learnt_where_that_is_asked_for(fake: Path) -> None:
    logs(fake, WEB)
    assert "accept-new" not in (fake / "calls").read_text()
    logs(fake, WEB, "--accept-new-host-keys")
    logins = [call for call in (fake / "calls").read_text().splitlines() if "-fN" in call]
    assert "-oStrictHostKeyChecking=accept-new" in logins[-1]


def test_an_inventory_without_hosts_names_the_options(fake: Path) -> None:
    done = logs(fake, {})
    assert done.returncode == 3
    assert "ppocr_hosts has no host" in done.stderr and "-i" in done.stderr


def test_what_is_written_is_followed_until_interrupted(fake: Path) -> None:
    run, how = command(fake, {**WEB, **HERE}, "--follow")
    # A shell's background jobs, which tests may be, ignore the signal.
    run = ["env", "--default-signal=INT", *run]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how) as process:
        assert process.stdout and process.stderr
        seen = [json.loads(process.stdout.readline())["minute"] for _ in range(8)]
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()
        assert process.stderr.read() == ""
    assert sorted(seen) == [1, 2, 3, 4, 5, 7, 8, 9]
    # Nothing is left on the hosts.
    for name in ("web1", "web2", "here"):
        pid, end = (fake / f"{name}.pid").read_text().strip(), time.monotonic() + 10
        while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
            time.sleep(0.1)
        assert not Path(f"/proc/{pid}").exists(), name
