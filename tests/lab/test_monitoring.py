"""playbooks/monitoring.yml on real hosts: s has the service, m its balancer and Prometheus.

The tests build on one another in the order of the file; the last cause what alerts are for. What
takes a full disk, full memory or 4,000 connections is left to ``promtool test rules``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hostlab import Host, HostSpec, Playbooks, inventory
from hostlab.playbook import PlaybookRun, words

from tests import certificates

pytestmark = pytest.mark.full
RULES = Path(__file__).parent / "monitoring_rules.yml"
PAGE = Path(__file__).parents[2] / "smoke_tests/samples/large.png"
PARTS = ("--tags", "ppocr_image,hubserving,smoke_test")
TOKEN = "lab-token-1234"  # noqa: S105 - of this test
#: Requests at once, of which some find every thread taken and the queue full, and pictures in each:
#: too many for the time one may take.
AT_ONCE, PAGES = 8, 32
#: Workers alone have this score.
KILL_WORKERS = """while sleep 0.2; do docker exec ppocr sh -c '
for score in /proc/[0-9]*/oom_score_adj; do
    if [ "$(cat $score)" = 500 ]; then kill -9 "$(echo $score | cut -d/ -f3)"; fi
done'; done"""


@pytest.fixture(scope="module")
def hosts(lab, playbook: Playbooks) -> list[Host]:
    found: list[Host] = lab.hosts(HostSpec("s"), HostSpec("m", engine="none"))
    playbook("tests/lab/host_roles.yml", found[:1], "--tags", "docker_engine")
    return found


@pytest.fixture(scope="module")
def settings(hosts: list[Host], tmp_path_factory) -> dict[str, Any]:
    """Whose certificate ends within days."""
    made = certificates.issue(tmp_path_factory.mktemp("tls"), hosts[0].address)
    return {
        "hubserving_tls_cert": str(made.certificate),
        "hubserving_tls_key": str(made.key),
        "smoke_test_ca_bundle": str(made.authority),
        "ppocr_ca_bundle": str(made.authority),
        "hubserving_tokens": [TOKEN],
        "hubserving_queue": 1,
        "hubserving_timeout": 10,
        "monitoring_interval": 2,
    }


@pytest.fixture
def s(hosts: list[Host]) -> Host:
    return hosts[0]


@pytest.fixture
def m(hosts: list[Host]) -> Host:
    return hosts[1]


@pytest.fixture
def run(hosts: list[Host], playbook: Playbooks, settings, tmp_path: Path) -> Callable:
    """``run(playbook)`` with m as balancer and monitoring host."""
    watching = tmp_path / "watching.yml"
    group = {"hosts": {hosts[1].name: inventory.host_variables(hosts[1])}}
    groups = {"ppocr_monitoring": group, "ppocr_balancers": group}
    watching.write_text(json.dumps(groups, default=str))

    def run_one(name: str, *args: str, **more: Any) -> PlaybookRun:
        return playbook(name, hosts[:1], "-i", str(watching), *args, extra_vars=settings, **more)

    return run_one


def firing(m: Host) -> set[str]:
    """Names of the alerts Alertmanager has."""
    query = "amtool alert query --output=json --alertmanager.url=http://127.0.0.1:9093"
    return {alert["labels"]["alertname"] for alert in json.loads(m.run(query).stdout)}


def wait_for_alerts(m: Host, *names: str, seconds: float) -> None:
    ask = "amtool alert query --alertmanager.url=http://127.0.0.1:9093"
    for name in names:
        m.wait_for(f"{ask} alertname={name} | grep -q {name}", timeout=seconds)


@contextlib.contextmanager
def flooded(url: str, authority: str) -> Iterator[None]:
    """Clients ask for more than the service can do in the time it has."""
    page = base64.b64encode(PAGE.read_bytes()).decode()
    body, end = json.dumps({"images": [page] * PAGES}), threading.Event()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}

    def ask_on() -> None:
        while not end.is_set():
            with contextlib.suppress(requests.RequestException):
                requests.post(url, body, headers=headers, verify=authority, timeout=60)
            end.wait(1)

    clients = [threading.Thread(target=ask_on) for _ in range(AT_ONCE)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        end.set()
        for client in clients:
            client.join()


def test_check_mode_promises_and_changes_nothing(run, m: Host) -> None:
    said = words(run("monitoring", check=True))
    assert "Check mode: prometheus, prometheus-alertmanager, " in said
    assert m.run("test -e /usr/bin/prometheus", check=False).returncode


def test_converge_and_again(run) -> None:
    run("playbooks/deploy.yml", *PARTS)
    run("playbooks/balancers.yml")
    watched = run("monitoring")
    assert "not sent anywhere" in words(watched) and TOKEN not in watched.stdout
    run("monitoring").assert_unchanged()
    run("monitoring", check=True).assert_unchanged()


def test_promtool_accepts_configuration_and_rules(m: Host) -> None:
    m.run("promtool check config /etc/prometheus/prometheus.yml")
    m.put("/etc/prometheus/rules_test.yml", RULES.read_text())
    m.run("cd /etc/prometheus && promtool test rules rules_test.yml")
    assert m.run("stat -c %a:%G /etc/prometheus/ppocr/s.token").stdout.strip() == "640:prometheus"
    assert "127.0.0.1:9090" in m.run("ss -ltn").stdout


def test_a_certificate_that_ends_soon_is_the_only_alert(m: Host) -> None:
    for job in ("ppocr", "ppocr-edge", "ppocr-balancer", "ppocr-node", "ppocr-tls"):
        up = f"promtool query instant http://127.0.0.1:9090 'up{{job=\"{job}\"}} == 1'"
        m.wait_for(f"{up} | grep -q {job}")
    wait_for_alerts(m, "PpocrCertificate", seconds=60)
    assert firing(m) == {"PpocrCertificate"}


def test_more_than_the_service_can_do_is_an_alert(s: Host, m: Host, settings) -> None:
    url = f"https://{s.address}:8866/predict/ocr_system"
    with flooded(url, settings["smoke_test_ca_bundle"]):
        wait_for_alerts(m, "PpocrWorkersLost", seconds=180)
        wait_for_alerts(m, "PpocrRefuses", "PpocrErrors", seconds=480)


def test_a_service_without_workers_is_an_alert(s: Host, m: Host) -> None:
    s.put("/root/kill-workers", KILL_WORKERS)
    s.run("systemd-run --unit killing sh /root/kill-workers")
    try:
        wait_for_alerts(m, "PpocrNotReady", seconds=300)
    finally:
        s.run("systemctl stop killing")


def test_a_service_that_comes_and_goes_is_an_alert(s: Host, m: Host) -> None:
    for _ in range(3):
        s.run("docker restart ppocr")
        s.wait_for("docker inspect --format '{{.State.Health.Status}}' ppocr | grep -qx healthy")
    wait_for_alerts(m, "PpocrRestarts", seconds=60)


def test_a_service_that_is_down_is_an_alert(s: Host, m: Host) -> None:
    s.run("docker stop ppocr")
    wait_for_alerts(m, "PpocrDown", seconds=150)
    assert f'instance="{s.address}:8866"' in m.run(
        "amtool alert query --output=extended --alertmanager.url=http://127.0.0.1:9093"
    ).stdout  # fmt: skip
    wait_for_alerts(m, "PpocrHostOut", seconds=420)


def test_a_balancer_that_is_down_is_an_alert(m: Host) -> None:
    m.run("systemctl stop ppocr-balancer")
    wait_for_alerts(m, "PpocrBalancerDown", seconds=150)
