"""playbooks/monitoring.yml on real hosts: s has a service, m watches it.

The tests build on one another in the order of the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hostlab import Host, HostSpec, Playbooks, inventory
from hostlab.playbook import PlaybookRun

pytestmark = pytest.mark.full
RULES = Path(__file__).parent / "monitoring_rules.yml"
TOKEN = "lab-token-1234"  # noqa: S105 - of this test
SETTINGS = {"hubserving_tokens": [TOKEN], "monitoring_interval": 2}
# What Prometheus reads of the service, for those who have the token.
SERVICE = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.headers.get("Authorization") == "Bearer {TOKEN}"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"ppocr_ready 1\\n" if allowed else b"")
http.server.ThreadingHTTPServer(("", 8866), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def hosts(lab) -> list[Host]:
    return lab.hosts(HostSpec("s", engine="none"), HostSpec("m", engine="none"))


@pytest.fixture
def s(hosts: list[Host]) -> Host:
    return hosts[0]


@pytest.fixture
def m(hosts: list[Host]) -> Host:
    return hosts[1]


@pytest.fixture
def watch(hosts: list[Host], playbook: Playbooks, tmp_path: Path):
    """``watch()`` runs playbooks/monitoring.yml."""
    watching = tmp_path / "watching.yml"
    group = {"hosts": {hosts[1].name: inventory.host_variables(hosts[1])}}
    watching.write_text(json.dumps({"ppocr_monitoring": group}, default=str))

    def run(**more: Any) -> PlaybookRun:
        return playbook("monitoring", hosts[:1], "-i", str(watching), extra_vars=SETTINGS, **more)

    return run


def alerts(m: Host) -> str:
    """Alerts Alertmanager has."""
    query = "amtool alert query --output=extended --alertmanager.url=http://127.0.0.1:9093"
    return m.run(query, check=False).stdout


def test_check_mode_promises_and_changes_nothing(watch, s: Host, m: Host) -> None:
    said = " ".join(watch(check=True).stdout.split())
    assert "Check mode: prometheus, prometheus-alertmanager, " in said
    assert m.run("test -e /usr/bin/prometheus", check=False).returncode


def test_converge_and_again(watch, s: Host) -> None:
    s.put("/root/service.py", SERVICE)
    s.run("systemd-run --unit service python3 /root/service.py")
    run = watch()
    assert "not sent anywhere" in " ".join(run.stdout.split()) and TOKEN not in run.stdout
    watch().assert_unchanged()
    watch(check=True).assert_unchanged()


def test_promtool_accepts_configuration_and_rules(m: Host) -> None:
    m.run("promtool check config /etc/prometheus/prometheus.yml")
    m.put("/etc/prometheus/rules_test.yml", RULES.read_text())
    m.run("cd /etc/prometheus && promtool test rules rules_test.yml")
    assert m.run("stat -c %a:%G /etc/prometheus/ppocr/s.token").stdout.strip() == "640:prometheus"
    assert "127.0.0.1:9090" in m.run("ss -ltn").stdout


def test_a_service_that_is_down_is_an_alert(s: Host, m: Host) -> None:
    m.wait_for("promtool query instant http://127.0.0.1:9090 'up == 1' | grep -q ppocr-node")
    m.wait_for("promtool query instant http://127.0.0.1:9090 'up == 1' | grep -q '\"ppocr\"'")
    assert "PpocrDown" not in alerts(m)
    s.run("systemctl stop service")
    seen = "amtool alert query --alertmanager.url=http://127.0.0.1:9093 | grep -q PpocrDown"
    m.wait_for(seen, timeout=150)
    assert f'instance="{s.address}:8866"' in alerts(m)
