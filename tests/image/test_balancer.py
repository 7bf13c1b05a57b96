"""The balancer's configuration, run by HAProxy, where a host goes with a request on its way."""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.containers import IMAGE, docker

ROLE = Path(__file__).parents[2] / "roles/balancer"
#: A host that takes a tenth of a second for each request.
BEHIND = """
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Behind(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.do_POST()
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(0.1)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
ThreadingHTTPServer(("", 8866), Behind).serve_forever()
"""
#: Longer than it takes to notice that a host is gone, far less than TCP goes on trying.
SECONDS = 10


def rendered(folder, addresses):
    """The role's configuration for hosts at these addresses."""
    servers = [
        {"name": f"s{number}", "address": address, "port": 8866, "tls": False}
        for number, address in enumerate(addresses)
    ]
    given = {
        "_balancer_services": [
            {"name": "ppocr", "port": 9866, "timeout": 60, "host": "balancer", "servers": servers}
        ],
        "_balancer_socket": "/tmp/admin.sock",  # noqa: S108 - in the container
        "__balancer_drained": [],
        "balancer_bind": "0.0.0.0",
    }
    written = folder / "haproxy.cfg"
    play = folder / "play.yml"
    task = {"src": str(ROLE / "templates/haproxy.cfg.j2"), "dest": str(written), "mode": "0644"}
    play.write_text(
        json.dumps([{
            "hosts": "localhost", "gather_facts": False,
            "vars_files": [str(ROLE / f"{part}/main.yml") for part in ("defaults", "vars")],
            "tasks": [{"ansible.builtin.template": task}],
        }])
    )  # fmt: skip
    subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", json.dumps(given), play],
        cwd=ROLE.parents[1], env={**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
        check=True, capture_output=True,
    )  # fmt: skip
    return written


def address_of(name):
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return docker("inspect", f"--format={form}", name).stdout.strip()


@pytest.fixture
def network():
    name = f"ppocr-test-{uuid.uuid4().hex[:8]}"
    docker("network", "create", name)
    yield name
    found = docker("ps", "-aq", f"--filter=name={name}").stdout.split()
    docker("rm", "--force", *found, check=False)
    docker("network", "rm", name, check=False)


def test_a_request_on_its_way_to_a_host_that_goes_is_sent_to_another(network, tmp_path):
    tmp_path.chmod(0o755)
    hosts = [f"{network}-{number}" for number in range(2)]
    for host in hosts:
        docker("run", "-d", "--name", host, "--network", network, IMAGE, "python", "-c", BEHIND)
    config = rendered(tmp_path, [address_of(host) for host in hosts])
    balancer = f"{network}-balancer"
    docker(
        "run", "-d", "--name", balancer, "--network", network, "--user=0", "--tmpfs=/tmp",
        f"--volume={config}:/haproxy.cfg:ro", "--entrypoint=haproxy", IMAGE, "-f", "/haproxy.cfg",
    )  # fmt: skip
    url = f"http://{address_of(balancer)}:9866/predict/ocr_system"

    def ask(_=None):
        began = time.monotonic()
        with requests.Session() as session:
            session.trust_env = False
            status = session.post(url, b"x" * 60_000, timeout=60).status_code
        return status, time.monotonic() - began

    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(requests.RequestException):
            if ask()[0] == 200:
                break
        time.sleep(0.2)
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(ask, range(12)))  # connections to both hosts, which are used again
        docker("network", "disconnect", network, hosts[0])
        answers = list(clients.map(ask, range(4)))
    assert [status for status, _ in answers] == [200] * 4
    assert max(seconds for _, seconds in answers) < SECONDS
