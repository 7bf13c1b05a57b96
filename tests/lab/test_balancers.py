"""Three hosts of a small service behind balancers, and a client that never stops asking.

Tests build on one another: set up, update in turn, drain, break, add and remove, two balancers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from balanced import Client, ask, build, settings, write_balancers
from hostlab import Host, HostSpec, Playbooks, tiny
from hostlab.playbook import PlaybookRun, words

DEPLOY = "playbooks/deploy.yml"
# The image is made on the hosts, and the service is not the real one.
SERVICE = ("--tags", "hubserving,balancer")
BALANCERS = "playbooks/balancers.yml"
VERSIONS = ("1.0.0", "1.0.1", "1.0.2")


@pytest.fixture(scope="module")
def hosts(lab, playbook: Playbooks) -> list[Host]:
    found: list[Host] = lab.hosts(
        HostSpec("s1"), HostSpec("s2", suite="trixie", user="ops", port=2222), HostSpec("s3")
    )
    playbook("tests/lab/host_roles.yml", found, "--tags", "docker_engine")
    for host in found:
        tiny.make(host)
        for version in VERSIONS:
            build(host, version)
    return found


@pytest.fixture(scope="module")
def balancer(lab) -> Host:
    host: Host = lab.host("b1", engine="none")
    return host


Run = Callable[..., PlaybookRun]


@pytest.fixture
def run(balancer: Host, playbook: Playbooks, tmp_path: Path) -> Run:
    """``run(playbook, hosts, version)`` with the balancers in the inventory."""

    def call(name: str, hosts: list[Host], version: str, *args: str, **options) -> PlaybookRun:
        balancers, address = options.pop("balancers", ([balancer], ""))
        beside = write_balancers(tmp_path / "balancers.json", balancers, address)
        extra = {**settings(version), **options.pop("extra_vars", {})}
        return playbook(name, hosts, "-i", str(beside), *args, extra_vars=extra, **options)

    return call


def containers(hosts: list[Host]) -> dict[str, str]:
    """The name of each host by the ID its container answers with."""
    return {
        host.run("docker ps -q --filter name=ppocr").stdout.strip(): host.name for host in hosts
    }


def answering(address: str, hosts: list[Host]) -> set[str]:
    """Names of the hosts that answer several requests in a row."""
    names = containers(hosts)
    return {names[ask(address, str(number))["container"]] for number in range(9)}


def versions(hosts: list[Host]) -> list[str]:
    return [ask(host.address, "a", port=8866)["version"] for host in hosts]


# --- set up, and update in turn


def test_requests_reach_every_host_with_the_clients_address(hosts, balancer, run) -> None:
    run(DEPLOY, hosts, "1.0.0", *SERVICE)
    answer = ask(balancer.address, "a")
    assert answer["version"] == "1.0.0"
    assert answer["client"] == balancer.address.rpartition(".")[0] + ".1"  # this machine's
    assert answering(balancer.address, hosts) == {"s1", "s2", "s3"}
    log = balancer.run("journalctl --no-pager --unit ppocr-balancer").stdout
    assert f"{answer['client']}:" in log and "POST /predict/ocr_system" in log
    metrics = (
        "exec 3<>/dev/tcp/127.0.0.1/8404; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    )
    assert 'haproxy_server_status{proxy="ppocr",server="s1"' in balancer.run(metrics).stdout
    assert balancer.run("systemctl is-active haproxy", check=False).stdout.strip() == "inactive"


def test_an_update_in_turn_loses_no_request(hosts, balancer, run) -> None:
    with Client(balancer.address) as client:
        update = run(DEPLOY, hosts, "1.0.1", *SERVICE)
    client.show("update of three hosts")
    assert client.errors == [] and client.repeated == 0 and client.answers
    assert versions(hosts) == ["1.0.1"] * 3
    stopped = [
        host for host, task in update.changed if task == "hubserving : Stop the old container"
    ]
    assert stopped == ["s1", "s2", "s3"]
    assert "s1: done; ppocr ppocr:1.0.1, Up" in words(update)


def test_a_bad_batch_ends_the_update_and_a_rerun_goes_on(hosts, balancer, run) -> None:
    build(hosts[1], "1.0.2", healthy=False)
    with Client(balancer.address) as client:
        update = run(DEPLOY, hosts, "1.0.2", *SERVICE, expect_rc=2)
        assert "the old container keeps serving unchanged" in words(update)
        assert "s2 was not updated (" in words(update) and "s3 stayed as before" in words(update)
        assert versions(hosts) == ["1.0.2", "1.0.1", "1.0.1"]
        assert answering(balancer.address, hosts) == {"s1", "s2", "s3"}
        build(hosts[1], "1.0.2")
        before = set(containers(hosts[:1]))
        run(DEPLOY, hosts, "1.0.2", *SERVICE)
    client.show("two updates, one stopped")
    assert client.errors == [] and client.repeated == 0 and client.answers
    assert versions(hosts) == ["1.0.2"] * 3 and set(containers(hosts[:1])) == before


def test_a_rollback_in_turn_loses_no_request(hosts, balancer, run) -> None:
    with Client(balancer.address) as client:
        run("playbooks/rollback.yml", hosts, "1.0.1", "--skip-tags", "smoke_test")
    client.show("rollback of three hosts")
    assert client.errors == [] and client.repeated == 0 and client.answers
    assert versions(hosts) == ["1.0.1"] * 3


def test_a_drained_host_stays_out_until_it_is_put_back(hosts, balancer, run) -> None:
    refused = run("playbooks/drain.yml", hosts, "1.0.1", expect_rc=2)
    assert "This would take out every host (s1, s2, s3)" in words(refused)
    run("playbooks/drain.yml", hosts, "1.0.1", "--limit", "s1")
    assert answering(balancer.address, hosts) == {"s2", "s3"}
    balancer.run("systemctl restart ppocr-balancer")
    assert answering(balancer.address, hosts) == {"s2", "s3"}
    run(BALANCERS, hosts, "1.0.1").assert_unchanged()
    run("playbooks/undrain.yml", hosts, "1.0.1", "--limit", "s1")
    assert answering(balancer.address, hosts) == {"s1", "s2", "s3"}


# --- what breaks


def kill_the_container(host: Host) -> None:
    host.run("kill -9 $(docker inspect --format '{{.State.Pid}}' ppocr)")


def restart_the_engine(host: Host) -> None:
    host.run("systemctl restart docker")


FAULTS = {
    "container killed": (kill_the_container, lambda host: None),
    "engine restarted": (restart_the_engine, lambda host: None),
    "network cable pulled": (Host.unplug, Host.plug),
    "host powered off": (Host.kill, Host.start),
}


@pytest.mark.parametrize("name", FAULTS)
def test_no_answer_is_lost_with_a_host(hosts, balancer, name: str) -> None:
    break_it, mend_it = FAULTS[name]
    with Client(balancer.address) as client:
        time.sleep(3)
        break_it(hosts[0])
        time.sleep(12)
        mend_it(hosts[0])
    client.show(name)
    assert client.errors == [] and client.answers
    until = time.monotonic() + 60
    while answering(balancer.address, hosts) != {"s1", "s2", "s3"}:
        assert time.monotonic() < until, hosts[0].journal()


# --- hosts and balancers come and go


def test_a_host_is_a_line_in_the_inventory(hosts, balancer, run) -> None:
    with Client(balancer.address) as client:
        run(DEPLOY, hosts[:2], "1.0.1", "--tags", "balancer")
        assert answering(balancer.address, hosts) == {"s1", "s2"}
        run(DEPLOY, hosts, "1.0.1", "--tags", "balancer")
        assert answering(balancer.address, hosts) == {"s1", "s2", "s3"}
    client.show("a host removed and added")
    assert client.errors == [] and client.repeated == 0 and client.answers


def test_the_address_moves_when_its_balancer_is_powered_off(hosts, balancer, lab, run) -> None:
    pair = [balancer, lab.host("b2", suite="trixie", engine="none")]
    address = balancer.address.rpartition(".")[0] + ".250"
    run(BALANCERS, hosts, "1.0.1", balancers=(pair, f"{address}/24"))
    until = time.monotonic() + 15
    while f" {address}/24" not in balancer.run("ip address").stdout:
        assert time.monotonic() < until, balancer.journal()
        time.sleep(0.5)
    assert ask(address, "a")["text"] == "a"
    balancer.kill()
    began = time.monotonic()
    while True:
        try:
            ask(address, "b", timeout=1)
            break
        except (OSError, ValueError):
            assert time.monotonic() - began < 15, pair[1].journal()
    took = time.monotonic() - began
    print(f"the virtual address answers after {took:.2f} s")
    assert took < 3
    balancer.start()
