"""What playbooks say and refuse: run on this machine with a stand-in for docker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
#: Answers with the files of its folder, and writes down how it was called.
DOCKER = """#!/bin/sh
echo "$*" >>{folder}/calls
case "$*" in
  "version "*) [ -e {folder}/engine ] || {{ echo 'permission denied' >&2; exit 1; }}; cat {folder}/engine ;;
  "ps "*) [ ! -e {folder}/stopped ] || {{ echo 'Cannot connect' >&2; exit 1; }}; echo 1 ;;
  "container inspect"*) cat {folder}/containers ;;
  "image ls"*) cat {folder}/images ;;
  "image inspect"*) cat {folder}/content ;;
  "run "*) cat {folder}/modules ;;
esac
"""  # noqa: E501
STOPPED = {"Status": "exited", "ExitCode": 0, "Running": False, "OOMKilled": False, "Error": "",
           "StartedAt": "2026-11-27T09:58:07.574019672Z",
           "FinishedAt": "2026-11-27T10:30:00.991544708Z",
           "Health": {"Status": "unhealthy", "Log": []}}  # fmt: skip


def container(name: str, **state: Any) -> dict[str, Any]:
    labels = {"org.ppocr.instance": name, "org.ppocr.device": "cpu"}
    return {
        "Id": name, "Name": f"/{name}", "Image": "sha256:new", "State": {**STOPPED, **state},
        "Config": {"Image": "ppocr:2.0.0", "Labels": labels}, "Mounts": [],
    }  # fmt: skip


class Machine:
    """This machine as a host, whose docker answers as the test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "bin/docker").write_text(DOCKER.format(folder=folder))
        (folder / "bin/docker").chmod(0o755)
        self.path = f"{folder}/bin:{os.environ['PATH']}"
        self.says(engine="26.1", containers="[]", images="", content="", modules="")

    def has_no_docker(self) -> None:
        """Leave the host every program but docker."""
        (self.folder / "bin/docker").unlink()
        for name in ("/usr/bin", "/usr/sbin"):
            for program in Path(name).iterdir():
                link = self.folder / "bin" / program.name
                if program.name != "docker" and not link.is_symlink():
                    link.symlink_to(program)
        self.path = f"{self.folder}/bin"

    def says(self, **answers: str) -> None:
        for name, text in answers.items():
            (self.folder / name).write_text(f"{text}\n")

    def run(self, playbook: str, *arguments: str, **settings: Any) -> tuple[int, list[str]]:
        """Run a playbook; return its exit status and the lines it printed."""
        given = {
            "ansible_become": False, "ansible_python_interpreter": sys.executable,
            "deploy_lock_path": str(self.folder / "lock"), **settings,
        }  # fmt: skip
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-playbook"), "-i",
                str(ROOT / "inventory/local"), str(ROOT / f"playbooks/{playbook}.yml"), "-e",
                json.dumps(given), *arguments,
            ],
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "TZ": "Asia/Shanghai",
                 "PATH": self.path, "ANSIBLE_NOCOLOR": "1"},
            capture_output=True, text=True, check=False, cwd=self.folder, timeout=300,
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).splitlines()

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_status_says_who_ended_a_container_and_when(machine: Machine) -> None:
    machine.says(
        containers=json.dumps([
            container("by-hand"),
            container("faulty", ExitCode=3),
            container("hungry", ExitCode=137, OOMKilled=True),
            container("shot", ExitCode=137),
            container("never", ExitCode=128, Error="no such device"),
            container("up", Status="running", Running=True, Health={"Status": "healthy"}),
        ])
    )  # fmt: skip
    status, lines = machine.run("status")
    assert status == 0, "\n".join(lines)
    rows = {line.split()[1]: line for line in lines if line.startswith("  localhost ")}
    assert re.search(r"stopped by an operator +- ", rows["by-hand"])
    assert "crashed (exit status 3)" in rows["faulty"]
    assert "crashed (out of memory, exit status 137)" in rows["hungry"]
    assert "killed (exit status 137)" in rows["shot"]
    assert "failed to start (exit status 128)" in rows["never"]
    assert "no such device" in rows["never"]
    assert "running" in rows["up"] and " healthy " in rows["up"]
    assert not any("unhealthy" in row for row in rows.values())
    # The engine's UTC is told in the control node's zone, which is named.
    assert "2026-11-27 18:30:00+08:00" in rows["by-hand"]
    assert "2026-11-27 17:58:07+08:00" in rows["up"]


ROLLBACK = {"confirm": "localhost", "ppocr_version": "1.0.0"}


def test_a_rollback_to_an_image_without_a_module_changes_nothing(machine: Machine) -> None:
    machine.says(
        containers=json.dumps([container("ppocr", Status="running")]),
        images="sha256:new ppocr:2.0.0\nsha256:old ppocr:1.0.0",
        modules="ocr_cls\nocr_det\nocr_system",
    )
    status, lines = machine.run("rollback", **ROLLBACK)
    text = " ".join(" ".join(lines).split())
    assert status == 2
    assert "ppocr:1.0.0 lacks modules the inventory names: ocr_rec" in text
    assert "nothing was changed on any host" in text and "-e ppocr_version=..." in text
    reads = (
        "image ls",
        "image inspect",
        "ps ",
        "container inspect",
        "run --rm --network=none",
        "version ",
    )
    assert all(call.startswith(reads) for call in machine.calls), machine.calls


def test_a_rollback_to_an_image_without_paddle_that_a_setting_needs_is_refused(
    machine: Machine,
) -> None:
    machine.says(
        containers=json.dumps([container("ppocr", Status="running")]),
        images="sha256:old ppocr:1.0.0",
        content="without",
    )
    status, lines = machine.run("rollback", **ROLLBACK, hubserving_server="hub")
    text = " ".join(" ".join(lines).split())
    assert status == 2
    assert "ppocr:1.0.0 has no Paddle, and hubserving_server is hub: use the image with" in text
    assert "wherever it is set); nothing was changed on any host" in text


@pytest.mark.full
def test_a_rollback_to_a_version_that_is_not_there_names_those_that_are(machine: Machine) -> None:
    machine.says(
        containers=json.dumps([container("ppocr", Status="running")]),
        images="sha256:new ppocr:2.0.0",
    )
    status, lines = machine.run("rollback", **ROLLBACK)
    text = " ".join(" ".join(lines).split())
    assert status == 2
    assert "ppocr:1.0.0 is not on this host" in text and "There are: ppocr:2.0.0 (running)" in text


@pytest.mark.full
def test_a_check_says_whether_the_builder_has_the_image(machine: Machine) -> None:
    status, lines = machine.run("build", "--check", "-v")
    assert status == 0, "\n".join(lines)
    assert any("would be built on localhost" in line for line in lines), lines
    (content,) = set(re.findall(r"content\W+([0-9a-f]{64})", " ".join(lines)))
    machine.says(content=content)
    _, lines = machine.run("build", "--check")
    assert any(" is on localhost already and would not be built" in line for line in lines), lines
    assert not any("would change" in line for line in lines), lines
    (machine.folder / "engine").unlink()
    _, lines = machine.run("build", "--check")
    text = " ".join(" ".join(lines).split())
    assert "would be built is not known: Docker on the builder localhost refuses" in text
    assert not any(call.startswith("build") for call in machine.calls)


def test_a_host_is_put_back_by_a_playbook_that_runs_no_other_role(machine: Machine) -> None:
    balancers = machine.folder / "balancers.json"
    balancers.write_text(json.dumps({"ppocr_balancers": {"hosts": {"localhost": {}}}}))
    status, said = machine.run("undrain", "-i", str(balancers))
    assert status == 0, said
    assert any("no balancer is set up here yet" in line for line in said)


def test_a_host_without_docker_has_nothing_that_could_be_stopped_or_removed(
    machine: Machine,
) -> None:
    etc = machine.folder / "etc"
    (etc / "ppocr").mkdir(parents=True)
    for name in ("config.json", ".made-by-ppocr"):
        (etc / "ppocr" / name).touch()
    machine.has_no_docker()
    status, lines = machine.run("stop", confirm="yes")
    assert status == 0, "\n".join(lines)
    status, lines = machine.run("start")
    assert status == 2
    text = " ".join(" ".join(lines).split())
    assert "No container of the service is on this host. Deploy it" in text
    status, lines = machine.run(
        "remove", confirm="yes", remove_image=True, hubserving_config_dir=str(etc)
    )
    assert status == 0, "\n".join(lines)
    assert not (etc / "ppocr").exists()


def test_an_engine_that_does_not_answer_is_named_with_the_remedy(machine: Machine) -> None:
    (machine.folder / "stopped").touch()
    status, lines = machine.run("remove", confirm="yes")
    text = " ".join(" ".join(lines).split())
    assert status == 2
    assert "Docker on localhost does not answer: Cannot connect" in text
    assert "systemctl start docker" in text
