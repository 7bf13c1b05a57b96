"""One run at a time on a host, and back to the image it ran before.

The service is a small image that is always healthy, so that nothing has to be built.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hostlab import Host, HostSpec, Playbooks, tiny
from hostlab.playbook import RunningPlaybook, words

LOCK = "/run/ppocr-deploy.lock"
# What hubserving runs in place of the real image: Python that serves the path its version names.
SERVE = """
import http.server
http.server.test(HandlerClass=http.server.SimpleHTTPRequestHandler, port=8866)
"""
SLOW_DOCKER = "#!/bin/sh\ntouch /run/slow\nsleep 120\n"
# The smoke test wants pictures read; here it is left out.
ROLLBACK = ("--skip-tags", "smoke_test")


@pytest.fixture(scope="module")
def pair(lab, playbook: Playbooks) -> list[Host]:
    hosts: list[Host] = lab.hosts(
        HostSpec("lock1", suite="bookworm"),
        HostSpec("lock2", suite="trixie", user="ops", port=2222),
    )
    # What the service's role needs on a host.
    playbook("tests/lab/host_roles.yml", hosts, "--tags", "docker_engine")
    for host in hosts:
        tiny.make(host)
        for version in ("1.0.0", "1.0.1"):
            build(host, version)
    return hosts


def build(host: Host, version: str, content: str = "") -> None:
    """An image of the service's name on the host; the same version again with other content."""
    host.put("/root/build/serve.py", SERVE)
    host.put(
        "/root/build/Dockerfile",
        f"FROM {tiny.TAG}\nCOPY serve.py /serve.py\nLABEL content={content or version}\n"
        'HEALTHCHECK --interval=1s CMD ["/usr/bin/python", "-c", "pass"]\n',
    )
    host.run(f"docker build -q -t ppocr:{version} /root/build")


def image(host: Host) -> str:
    """The ID of the image the service's container runs; nothing where there is none."""
    inspect = "docker container inspect --format '{{.Image}}' ppocr"
    return host.run(inspect, check=False).stdout.strip()


def image_id(host: Host, name: str) -> str:
    return host.run(f"docker image inspect --format '{{{{.Id}}}}' {name}").stdout.strip()


@pytest.fixture
def run_version(playbook: Playbooks, pair: list[Host], tmp_path):
    """``run_version("1.0.1")`` has hubserving run that image on both hosts, unless they do."""
    play = tmp_path / "serve.yml"
    play.write_text(
        json.dumps(
            [{
                "name": "Serve", "hosts": "ppocr_hosts", "gather_facts": False, "become": True,
                "roles": [{"role": "hubserving"}],
            }]
        )
    )  # fmt: skip

    def run(version: str) -> None:
        if all(image(host) == image_id(host, f"ppocr:{version}") for host in pair):
            return
        playbook(str(play), pair, extra_vars={**SETTINGS, "ppocr_version": version})

    return run


SETTINGS = {"hubserving_command": ["/serve.py"]}


@dataclass
class Held:
    """A host locked by a run that is in the middle of something."""

    host: Host
    run: RunningPlaybook


@pytest.fixture
def held(pair: list[Host], playbook: Playbooks) -> Iterator[Held]:
    host = pair[0]
    host.put("/usr/local/bin/docker", SLOW_DOCKER, "0755")
    running = playbook.start("stop", [host])
    host.wait_for(f"test -e {LOCK} -a -e /run/slow")
    host.run("rm /usr/local/bin/docker /run/slow")
    yield Held(host, running)
    running.kill()
    host.run(f"rm -f {LOCK}")


def locked(host: Host) -> bool:
    return host.run(f"test -e {LOCK}", check=False).returncode == 0


def test_the_second_run_fails_at_once_and_says_whose_lock_it_is(held: Held, playbook) -> None:
    run = playbook("stop", [held.host], expect_rc=2)
    assert held.run.process.poll() is None  # it did not wait for the first
    assert "This host is locked by root@" in words(run)
    assert "(Stop the OCR service), since 20" in words(run)
    assert "That process is running: wait" in words(run)
    assert not run.changed
    broken = playbook("stop", [held.host], extra_vars={"deploy_lock_break": True}, expect_rc=2)
    assert "deploy_lock_break does not break its lock" in words(broken)
    assert locked(held.host)  # neither took nor removed it
    playbook("status", [held.host])  # what only reads asks nobody
    playbook("stop", [held.host], check=True)


@pytest.mark.full
def test_a_killed_runs_lock_is_stale_and_broken_when_asked(held: Held, playbook) -> None:
    held.run.kill()
    run = playbook("stop", [held.host], expect_rc=2)
    assert "its lock is stale: run again with -e deploy_lock_break=true" in words(run)
    playbook("stop", [held.host], extra_vars={"deploy_lock_break": True})
    assert not locked(held.host)
    playbook("stop", [held.host]).assert_unchanged()


@pytest.mark.full
def test_another_machines_lock_is_broken_only_when_asked(pair, playbook) -> None:
    host = pair[1]
    holder = {
        "what": "Deploy", "who": "ops@elsewhere", "pid": 1, "since": "2026-01-01 00:00:00 UTC",
        "process": "elsewhere 1 1",
    }  # fmt: skip
    host.put(LOCK, json.dumps(holder) + "\n")
    run = playbook("stop", pair, expect_rc=2)
    assert "locked by ops@elsewhere" in words(run) and "cannot be checked from here" in words(run)
    assert run.recap[host.name].failed and not run.recap[pair[0].name].failed
    playbook("stop", pair, extra_vars={"deploy_lock_break": "true"})
    assert not locked(host)


@pytest.mark.full
def test_a_failed_run_lets_go(pair, playbook) -> None:
    run = playbook("start", pair, expect_rc=2)
    assert "No container of the service is on this host" in words(run)
    for host in pair:
        assert not locked(host)


def test_a_rollback_without_anything_to_go_back_to_is_refused(pair, playbook, run_version) -> None:
    run = playbook("rollback", pair, *ROLLBACK, extra_vars=SETTINGS, expect_rc=2)
    assert "no container of the service to roll back" in words(run)
    run_version("1.0.0")
    run = playbook("rollback", pair, *ROLLBACK, extra_vars=SETTINGS, expect_rc=2)
    assert "No earlier image is remembered here; nothing was changed on any host." in words(run)
    assert "There are: ppocr:1.0.0 (running), ppocr:1.0.1." in words(run)


@pytest.mark.full
def test_rolls_back_and_forth(pair, playbook, run_version) -> None:
    run_version("1.0.0")
    run_version("1.0.1")
    wanted = {"ppocr_version": "1.0.1"}  # the inventory goes on naming what was deployed
    playbook("rollback", pair, *ROLLBACK, extra_vars=SETTINGS, group_vars=wanted, check=True)
    assert all(image(host) == image_id(host, "ppocr:1.0.1") for host in pair)
    playbook("rollback", pair, *ROLLBACK, extra_vars=SETTINGS, group_vars=wanted)
    assert all(image(host) == image_id(host, "ppocr:1.0.0") for host in pair)
    playbook("rollback", pair, *ROLLBACK, extra_vars=SETTINGS, group_vars=wanted)
    assert all(image(host) == image_id(host, "ppocr:1.0.1") for host in pair)
    named = {**SETTINGS, "ppocr_version": "1.0.0"}
    playbook("rollback", pair, *ROLLBACK, extra_vars=named)
    assert all(image(host) == image_id(host, "ppocr:1.0.0") for host in pair)
    playbook("rollback", pair, *ROLLBACK, extra_vars=named).assert_unchanged()


@pytest.mark.full
def test_a_version_one_host_lacks_is_refused_on_all(pair, playbook, run_version) -> None:
    run_version("1.0.0")
    before = [image(host) for host in pair]
    build(pair[0], "0.9")
    run = playbook(
        "rollback", pair, *ROLLBACK, extra_vars={**SETTINGS, "ppocr_version": "0.9"}, expect_rc=2
    )
    assert "ppocr:0.9 is not on this host; nothing was changed on any host." in words(run)
    assert [image(host) for host in pair] == before
    for host in pair:
        assert not locked(host)


@pytest.mark.full
def test_the_same_version_built_anew_can_be_taken_back(pair, playbook, run_version) -> None:
    run_version("1.0.0")
    before = [image(host) for host in pair]
    for host in pair:
        build(host, "1.0.0", content="other")
    run_version("1.0.0")
    assert [image(host) for host in pair] != before
    for host in pair:
        host.run("docker image prune --force")
    playbook("rollback", pair, *ROLLBACK, extra_vars=SETTINGS)
    assert [image(host) for host in pair] == before
