"""playbooks/doctor.yml on half broken hosts: what it says, and that no secret is in its archive."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from role_code import ROOT

from ppocr_control.doctor import redact, report

PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
CONTAINER = [{
    "Name": "/ppocr", "RestartCount": 7,
    "State": {
        "Running": True, "Status": "running", "OOMKilled": True,
        "Health": {"Status": "unhealthy", "Log": [{"Output": "not ready: tok-1234567 refused"}]},
    },
    "Config": {"Env": ["PPOCR_QUEUE=64", "MY_SETTING=hush", "PPOCR_TOKEN_FILE=/etc/ppocr/tokens"]},
}]  # fmt: skip
PRINTED = f"""
== docker
Client:
 Version: 26.1
Server: Docker Engine
 Version: 26.1
== daemon_json
{{"proxies": {{"http-proxy": "http://me:pa55word@proxy:3128"}},}}
== containers
{json.dumps(CONTAINER)}
== log_0123
{{"event": "request", "authorization": "Bearer abcdefghijkl", "image": "{"iVBORw0KGgo" * 40}"}}
== docker_root
Filesystem 1024-blocks Used Available Capacity Mounted on
/dev/vda1 10000000 9000000 1000000 90% /srv/docker
== ports
LISTEN 0 128 0.0.0.0:22 0.0.0.0:*
== certificates
/etc/ppocr/ppocr/tls.crt notAfter=Jan  2 10:00:00 2020 GMT
"""


def test_each_finding_has_its_remedy() -> None:
    examined = report.host("ocr1", PRINTED, [8866], ["tok-1234567"])
    lines = "\n".join(report.summary([examined]))
    assert "ocr1  engine  OK  Docker 26.1" in lines
    assert "ocr1  daemon.json  FAILED  Expecting property name" in lines
    assert "ocr1  container ppocr  FAILED  unhealthy: not ready: (hidden) refused  ->  " in lines
    assert "killed for memory  ->  raise hubserving_memory_limit" in lines
    assert "restarted 7 times" in lines
    assert "ocr1  disk  FAILED  976 MiB free at /srv/docker  ->  docker system df" in lines
    assert "ocr1  port 8866  FAILED  nothing listens" in lines
    assert "certificate  FAILED  /etc/ppocr/ppocr/tls.crt: -" in lines
    kept = "\n".join(examined.parts.values())
    for secret in ("pa55word", "hush", "tok-1234567", "abcdefghijkl", "iVBORw0KGgo"):
        assert secret not in kept
    assert "PPOCR_QUEUE=64" in kept and "proxy:3128" in kept


def test_tasks_that_a_swarm_has_replaced_are_no_finding() -> None:
    def task(name: str, running: bool) -> dict:
        state = {"Running": running, "Status": "running" if running else "exited", "ExitCode": 0}
        labels = {"org.ppocr.instance": "ppocr", "com.docker.swarm.task.id": name}
        return {"Name": f"/ppocr_service.1.{name}", "State": state, "Config": {"Labels": labels}}

    def rows(*tasks: dict) -> str:
        examined = report.host("h", f"== containers\n{json.dumps(tasks)}\n", [8866], [])
        return "\n".join(line for line in report.summary([examined]) if "  container" in line)

    said = rows(task("new", True), task("old", False))
    assert "container ppocr_service.1.new  WARNING  running" in said and "old" not in said
    assert "no task of the swarm runs here  ->  docker service ps" in rows(task("old", False))


@pytest.mark.parametrize(("skew", "said"), [("-3", "OK  -3 s"), ("300", "WARNING  +300 s")])
def test_clocks_are_compared_when_the_host_is_asked(skew: str, said: str) -> None:
    """And not when all hosts have answered, which takes minutes where an engine hangs."""
    lines = report.summary([report.host("h", f"== clock_skew\n{skew}\n", [], [])])
    assert any(line.startswith(f"h  clock  {said} beside this machine") for line in lines)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"api_key": "xyz", "port": 1}', '{"api_key": (hidden), "port": 1}'),
        ("password=abc next", "password=(hidden) next"),
        ("-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----", "(hidden)"),
        ("Authorization: Bearer abcdef.ghi", "Authorization: Bearer (hidden)"),
        ("a status of 200 at /predict/ocr_system", "a status of 200 at /predict/ocr_system"),
    ],
)
def test_what_is_hidden(text: str, left: str) -> None:
    assert redact.redact(text) == left


@pytest.mark.slow
def test_hosts_without_docker_and_without_an_answer_are_in_one_archive(tmp_path: Path) -> None:
    """This machine with no docker in PATH, and a host that is not there."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("docker", "nvidia-smi", "journalctl"):
        (tools / name).write_text(f"#!/bin/sh\necho {name}: not found >&2\nexit 127\n")
        (tools / name).chmod(0o755)
    inventory = tmp_path / "hosts.yml"
    lock = tmp_path / "a lock"
    lock.write_text("{}")
    here = {"ansible_connection": "local", "ansible_become": False, "deploy_lock_path": str(lock)}
    gone = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    inventory.write_text(
        json.dumps({"ppocr_hosts": {"hosts": {
            "here": {**here, "ansible_python_interpreter": sys.executable}, "gone": gone,
        }}})
    )  # fmt: skip
    done = subprocess.run(
        [str(PLAYBOOK), "-i", str(inventory), str(ROOT / "playbooks/doctor.yml"),
         "-e", f"doctor_report_dir={tmp_path}/reports"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "COLUMNS": "200",
             "PATH": f"{tools}:{os.environ['PATH']}"},
        check=False, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    said = " ".join(done.stdout.split())
    assert "here engine FAILED docker is not installed -> deploy" in said
    assert "here lock WARNING a run holds the lock" in said
    assert re.search(r"here clock OK [+-]\d+ s beside this machine", said)
    assert "gone access FAILED" in said and "log in with ssh as ansible_user" in said
    (path,) = (tmp_path / "reports").glob("doctor-*.tar.gz")
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        summary = archive.extractfile(f"{path.name.removesuffix('.tar.gz')}/summary.txt")
        assert summary and b"gone  access  FAILED" in summary.read()
    assert {"control.txt", "here/system.txt", "here/memory.txt", "here/ports.txt"} <= names
