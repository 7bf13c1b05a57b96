"""Three hosts as a swarm under a client that never stops asking: no request may be lost.

Tests build on one another. The image comes from this machine's engine (scripts/deploy builds it).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
import requests
from hostlab import Host, HostSpec, Playbooks
from hostlab.playbook import PlaybookRun, words
from steady import Steady, texts

pytestmark = pytest.mark.full
DEPLOY, SCALE = "playbooks/deploy.yml", "playbooks/scale.yml"
PARTS = ("--tags", "ppocr_image,swarm,hubserving,smoke_test")
SERVICE = ("--tags", "hubserving")
SWARM = {"ppocr_cluster": "swarm", "ppocr_replicas": 3}
#: A parameter that changes no text, and a token beside it.
ANOTHER = {"det_limit_side_len": 1280}
WORD = "a-word-of-the-lab"
CHANGED = {"hubserving_params": ANOTHER, "hubserving_tokens": [WORD]}
HEADERS = {"Authorization": f"Bearer {WORD}"}


@pytest.fixture(scope="module")
def hosts(lab, playbook: Playbooks) -> list[Host]:
    found: list[Host] = lab.hosts(*map(HostSpec, ("s1", "s2", "s3")))
    playbook("tests/lab/host_roles.yml", found, "--tags", "docker_engine")
    return found


@pytest.fixture
def run(playbook: Playbooks, hosts: list[Host]) -> Callable[..., PlaybookRun]:
    """Run a playbook on all of them with more settings of the swarm."""

    def run(name: str, *arguments: str, more: dict | None = None, **options) -> PlaybookRun:
        values = {**SWARM, "confirm": "yes", **(more or {})}
        return playbook(name, hosts, *arguments, extra_vars=values, **options)

    return run


@pytest.fixture
def steady(hosts: list[Host]) -> Callable[..., Steady]:
    def steady(**options) -> Steady:
        url = f"http://{hosts[0].address}:8866/predict/ocr_system"
        expected = texts(requests.Session(), url, **options)
        assert expected
        return Steady(url, expected, options)

    return steady


def tasks(hosts: list[Host]) -> dict[str, int]:
    """How many tasks run on each host."""
    return {
        host.name: len(host.run("docker ps -q -f name=^ppocr_service").stdout.split())
        for host in hosts
    }


def parameters(hosts: list[Host]) -> list[dict]:
    """Of each task, wherever it runs."""
    script = (
        "for one in $(docker ps -q -f name=^ppocr_service); do"
        " docker exec $one cat /etc/ppocr/params.json | tr -d '\\n'; echo; done"
    )
    return [json.loads(line) for host in hosts for line in host.run(script).stdout.splitlines()]


def test_the_hosts_become_a_swarm(run, hosts: list[Host]) -> None:
    run(DEPLOY, *PARTS)
    assert tasks(hosts) == {"s1": 1, "s2": 1, "s3": 1}
    roles = hosts[0].run("docker node ls --format '{{.ManagerStatus}}'").stdout.split()
    assert sorted(roles) == ["Leader", "Reachable", "Reachable"]
    for host in hosts:
        url = f"http://{host.address}:8866/predict/ocr_system"
        assert texts(requests.Session(), url)
    run(DEPLOY, *PARTS).assert_unchanged()
    run(DEPLOY, *PARTS, check=True).assert_unchanged()
    plain = run(DEPLOY, *SERVICE, more={"ppocr_cluster": "none"}, expect_rc=2)
    assert "s1 runs ppocr as a stack of a swarm; nothing was changed" in words(plain)


def test_a_rolling_update(run, steady, hosts: list[Host]) -> None:
    with steady() as client:
        run(DEPLOY, *PARTS, more={"hubserving_params": ANOTHER})
    client.assert_nothing_lost()
    assert parameters(hosts) == [ANOTHER] * 3


def test_a_bad_version_is_rolled_back(run, steady, hosts: list[Host]) -> None:
    with steady() as client:
        failed = run(DEPLOY, *SERVICE, more={"hubserving_command": ["false"]}, expect_rc=2)
    client.assert_nothing_lost()
    assert "Swarm has rolled back the update" in words(failed)
    assert parameters(hosts) == [ANOTHER] * 3


def test_a_host_is_drained(run, steady, hosts: list[Host]) -> None:
    with steady() as client:
        run(SCALE, more={"swarm_drained": ["s3"]})
        assert tasks(hosts)["s3"] == 0 and sum(tasks(hosts).values()) == 3
        run(SCALE)
    client.assert_nothing_lost()


def test_other_numbers_of_tasks(run, steady, hosts: list[Host]) -> None:
    with steady() as client:
        for wanted in (6, 2, 3):
            run(SCALE, more={"ppocr_replicas": wanted})
            until = time.monotonic() + 60  # those that are stopped finish their requests
            while sum(tasks(hosts).values()) != wanted:
                assert time.monotonic() < until, tasks(hosts)
                time.sleep(1)
    client.assert_nothing_lost()


def test_a_host_is_lost(run, steady, hosts: list[Host]) -> None:
    """One with tasks, which the others then run; it comes back as it was."""
    lost = next(host for host in hosts[1:] if tasks([host])[host.name])
    with steady() as client:
        lost.kill()
        hosts[0].wait_for(
            "test $(docker service ps -q -f desired-state=running ppocr_service | wc -l) = 3 && "
            f"! docker service ps -f desired-state=running ppocr_service | grep -w {lost.name}",
            timeout=180,
        )  # fmt: skip
        hosts[0].wait_for("docker service ls | grep -w 3/3", timeout=240)
    client.assert_nothing_lost()
    print(f"longest wait with a host lost: {client.longest:.1f} s")
    lost.start()
    lost.wait_for("docker inspect ppocr-edge | grep '\"Running\": true'")


def test_tokens_are_a_secret(run, steady, hosts: list[Host]) -> None:
    run(DEPLOY, *SERVICE, more=CHANGED)
    with steady(headers=HEADERS) as client:
        again = {**CHANGED, "hubserving_tokens": [WORD, "another"]}
        run(DEPLOY, *SERVICE, more=again)
    client.assert_nothing_lost()
    (secret,) = hosts[0].run("docker secret ls --format '{{.Name}}'").stdout.split()
    assert secret.startswith("ppocr-tokens-")
    assert hosts[0].run(f"grep -r {WORD} /etc/ppocr", check=False).returncode == 1


def test_what_a_swarm_does_by_itself_is_refused(run) -> None:
    failed = run("playbooks/stop.yml", expect_rc=2)
    assert "playbooks/scale.yml changes the number of tasks" in words(failed)


def test_one_host_leaves_and_then_all(run, steady, hosts: list[Host]) -> None:
    with steady(headers=HEADERS) as client:
        refused = run("playbooks/remove.yml", "--limit", "s3", expect_rc=2)
        assert "-e swarm_leave=true" in words(refused)
        run("playbooks/remove.yml", "--limit", "s3", more={"swarm_leave": True})
        hosts[0].wait_for("docker service ls | grep -w 3/3", timeout=240)
    client.assert_nothing_lost()
    left = hosts[0].run("docker node ls --format '{{.Hostname}}'").stdout.split()
    assert sorted(left) == ["s1", "s2"]
    run("playbooks/remove.yml", more={"swarm_leave": True})
    for host in hosts:
        assert host.run("docker ps -aq").stdout.split() == []
        assert "inactive" in host.run("docker info -f '{{.Swarm.LocalNodeState}}'").stdout
        assert host.run("test -e /etc/ppocr", check=False).returncode == 1
