"""Three hosts of the service behind balancers, and a client that never stops asking.

Tests build on one another: set up, update in turn, drain, break, add and remove, two balancers.
The image comes from this machine's engine (scripts/deploy builds it).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from hostlab import Host, HostSpec, Playbooks, inventory
from hostlab.playbook import PlaybookRun, words
from steady import Steady, texts

DEPLOY, BALANCERS = "playbooks/deploy.yml", "playbooks/balancers.yml"
PARTS = ("--tags", "ppocr_image,hubserving,smoke_test,balancer")
#: A parameter that changes no text, and one that keeps every line from being returned.
ANOTHER, MISREAD = {"det_limit_side_len": 1280}, {"drop_score": 0.999}
Run = Callable[..., PlaybookRun]
#: Seconds within which a host that is gone is noticed, and another one has answered.
NOTICED = 12


@pytest.fixture(scope="module")
def hosts(lab, playbook: Playbooks) -> list[Host]:
    found: list[Host] = lab.hosts(
        HostSpec("s1"), HostSpec("s2", suite="trixie", user="ops", port=2222), HostSpec("s3")
    )
    playbook("tests/lab/host_roles.yml", found, "--tags", "docker_engine")
    return found


@pytest.fixture(scope="module")
def balancer(lab) -> Host:
    host: Host = lab.host("b1", engine="none")
    return host


@pytest.fixture
def run(balancer: Host, playbook: Playbooks, tmp_path: Path) -> Run:
    """``run(playbook, hosts)`` with the balancers in the inventory."""

    def call(name: str, hosts: list[Host], *args: str, **options) -> PlaybookRun:
        balancers, address = options.pop("balancers", ([balancer], ""))
        beside = inventory.write_balancers(tmp_path / "balancers.json", balancers, address)
        return playbook(name, hosts, "-i", str(beside), *args, **options)

    return call


@pytest.fixture
def steady(balancer: Host) -> Callable[[], Steady]:
    url = f"http://{balancer.address}:9866/predict/ocr_system"
    expected = texts(requests.Session(), url)
    assert expected
    return lambda: Steady(url, expected)


def metric(balancer: Host, pattern: str) -> dict[str, float]:
    """What the balancer's metrics say of each host of the service."""
    script = (
        "exec 3<>/dev/tcp/127.0.0.1/8404; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    )
    found = re.findall(rf"{pattern}.* ([\d.]+)", balancer.run(script).stdout)
    return {name: float(value) for name, value in found}


def up(balancer: Host) -> set[str]:
    """The hosts that get requests."""
    status = metric(balancer, r'haproxy_server_status\{proxy="ppocr",server="(\w+)",state="UP"\}')
    return {name for name, value in status.items() if value}


def wait_for_all(balancer: Host, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while up(balancer) != {"s1", "s2", "s3"}:
        assert time.monotonic() < until, up(balancer)
        time.sleep(0.5)


def inspect(hosts: list[Host], form: str) -> list[str]:
    return [host.run(f"docker inspect --format '{form}' ppocr").stdout.strip() for host in hosts]


def parameters(hosts: list[Host]) -> list[dict]:
    shown = [host.run("docker exec ppocr cat /etc/ppocr/params.json").stdout for host in hosts]
    return [json.loads(each) for each in shown]


# --- set up, and update in turn


@pytest.mark.full
def test_requests_reach_every_host(hosts, balancer, run) -> None:
    run(DEPLOY, hosts, *PARTS)
    assert up(balancer) == {"s1", "s2", "s3"}
    with Steady(f"http://{balancer.address}:9866/predict/ocr_system", texts_of(hosts[0])) as client:
        time.sleep(10)
    client.assert_nothing_lost()
    answers = r'haproxy_server_http_responses_total\{proxy="ppocr",server="(\w+)",code="2xx"\}'
    assert all(metric(balancer, answers)[host.name] > 0 for host in hosts)
    client_address = balancer.address.rpartition(".")[0] + ".1"  # this machine's
    log = balancer.run("journalctl --no-pager --unit ppocr-balancer").stdout
    assert f"{client_address}:" in log and "POST /predict/ocr_system" in log
    assert balancer.run("systemctl is-active haproxy", check=False).stdout.strip() == "inactive"


def texts_of(host: Host) -> list[str]:
    return texts(requests.Session(), f"http://{host.address}:8866/predict/ocr_system")


@pytest.mark.full
def test_an_update_in_turn_loses_no_request(hosts, balancer, run, steady) -> None:
    with steady() as client:
        update = run(DEPLOY, hosts, *PARTS, extra_vars={"hubserving_params": ANOTHER})
    client.assert_nothing_lost()
    assert parameters(hosts) == [ANOTHER] * 3
    stopped = [
        host for host, task in update.changed if task == "hubserving : Stop the old container"
    ]
    assert stopped == ["s1", "s2", "s3"]
    assert "s1: done; ppocr ppocr:1.0.0, Up" in words(update)


@pytest.mark.full
def test_a_host_killed_in_its_work_costs_no_answer(hosts, balancer, steady) -> None:
    # The host itself would wait 15 s (edge_wait) for its container.
    assert survive("container killed", hosts[0], balancer, steady) < 12


@pytest.mark.full
def test_a_bad_batch_ends_the_update_and_a_rerun_goes_on(hosts, balancer, run, steady) -> None:
    with steady() as client:
        update = run(
            DEPLOY, hosts, *PARTS, expect_rc=2,
            extra_vars={"hubserving_params": "{{ {} if inventory_hostname != 's2' else misread }}",
                        "misread": MISREAD},
        )  # fmt: skip
        assert "misread the samples; the old container keeps serving" in words(update)
        assert "s2 was not updated (" in words(update) and "s3 stayed as before" in words(update)
        assert parameters(hosts) == [{}, ANOTHER, ANOTHER]
        wait_for_all(balancer, 5)
        first = inspect(hosts[:1], "{{.Id}}")
        run(DEPLOY, hosts, *PARTS)
    client.assert_nothing_lost()
    assert parameters(hosts) == [{}] * 3 and inspect(hosts[:1], "{{.Id}}") == first


@pytest.mark.full
def test_a_batch_with_a_bad_host_stays_as_it_was(hosts, balancer, run, steady) -> None:
    before = inspect(hosts, "{{.Id}}")
    params = "{{ misread if inventory_hostname == 's2' else another }}"
    settings = {"hubserving_params": params, "misread": MISREAD, "another": ANOTHER}
    with steady() as client:
        together = {**settings, "ppocr_serial": "100%"}
        update = run(DEPLOY, hosts, *PARTS, extra_vars=together, expect_rc=2)
        wait_for_all(balancer, 5)
    client.assert_nothing_lost()
    assert "s2 failed, and the hosts of a batch change together" in words(update)
    assert inspect(hosts, "{{.Id}}") == before and parameters(hosts) == [{}] * 3
    edges = {"ppocr\nppocr-edge\n"}
    assert {host.run("docker ps --format '{{.Names}}' | sort").stdout for host in hosts} == edges


@pytest.mark.full
def test_a_rollback_in_turn_loses_no_request(hosts, run, steady) -> None:
    for host in hosts:
        host.run("printf 'FROM ppocr:1.0.0\nLABEL x=y\n' | docker build -q -t ppocr:1.0.1 -")
    with steady() as client:
        run("playbooks/rollback.yml", hosts, extra_vars={"ppocr_version": "1.0.1"})
        assert inspect(hosts, "{{.Config.Image}}") == ["ppocr:1.0.1"] * 3
        run("playbooks/rollback.yml", hosts, "--skip-tags", "smoke_test")
    client.assert_nothing_lost()
    assert inspect(hosts, "{{.Config.Image}}") == ["ppocr:1.0.0"] * 3


@pytest.mark.full
def test_a_drained_host_stays_out_until_it_is_put_back(hosts, balancer, run) -> None:
    refused = run("playbooks/drain.yml", hosts, expect_rc=2)
    assert "This would take out every host (s1, s2, s3)" in words(refused)
    run("playbooks/drain.yml", hosts, "--limit", "s1")
    assert up(balancer) == {"s2", "s3"}
    rows = words(run("playbooks/status.yml", hosts))
    assert (rows.count("b1: in"), rows.count("b1: out (MAINT)")) == (2, 1)
    balancer.run("systemctl restart ppocr-balancer")
    assert up(balancer) == {"s2", "s3"}
    run(BALANCERS, hosts).assert_unchanged()
    run("playbooks/undrain.yml", hosts, "--limit", "s1")
    assert up(balancer) == {"s1", "s2", "s3"}


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


def survive(fault: str, host: Host, balancer: Host, steady: Callable[[], Steady]) -> float:
    """Break a host under the client, mend it, wait until it serves again; the longest wait, s."""
    break_it, mend_it = FAULTS[fault]
    with steady() as client:
        time.sleep(3)
        break_it(host)
        time.sleep(15)
        mend_it(host)
    print(f"{fault}: longest wait {client.longest:.1f} s")
    client.assert_nothing_lost()
    assert client.longest < NOTICED
    wait_for_all(balancer)
    return client.longest


@pytest.mark.full
@pytest.mark.parametrize("fault", list(FAULTS)[1:])
def test_no_answer_is_lost_with_a_host(hosts, balancer, steady, fault: str) -> None:
    survive(fault, hosts[0], balancer, steady)


# --- hosts and balancers come and go


@pytest.mark.full
def test_a_host_is_a_line_in_the_inventory(hosts, balancer, run, steady) -> None:
    with steady() as client:
        run(DEPLOY, hosts[:2], "--tags", "balancer")
        assert up(balancer) == {"s1", "s2"}
        run(DEPLOY, hosts, "--tags", "balancer")
        wait_for_all(balancer, 5)
    client.assert_nothing_lost()


@pytest.mark.full
def test_the_address_moves_when_its_balancer_is_powered_off(hosts, balancer, lab, run) -> None:
    pair = [balancer, lab.host("b2", suite="trixie", engine="none")]
    address = balancer.address.rpartition(".")[0] + ".250"
    run(BALANCERS, hosts, balancers=(pair, f"{address}/24"))
    until = time.monotonic() + 15
    while f" {address}/24" not in balancer.run("ip address").stdout:
        assert time.monotonic() < until, balancer.journal()
        time.sleep(0.5)

    def readyz() -> int:
        return requests.get(f"http://{address}:9866/readyz", timeout=1).status_code

    assert readyz() == 200
    balancer.kill()
    began = time.monotonic()
    while True:
        try:
            assert readyz() == 200
            break
        except requests.RequestException:
            assert time.monotonic() - began < 15, pair[1].journal()
    took = time.monotonic() - began
    print(f"the virtual address answers after {took:.2f} s")
    assert took < 3
    balancer.start()
