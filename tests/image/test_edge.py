"""The edge as its role runs it, and what it answers by itself on each of its ports."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import yaml

from ppocr_hosts.edge import Edge
from tests.containers import IMAGE, docker

ROOT = Path(__file__).parents[2]
#: In a container behind it: says what it was asked.
BEHIND = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Behind(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())
HTTPServer(("", int(sys.argv[1])), Behind).serve_forever()
"""
EMPTY = {"key": [], "value": [], "tensors": []}


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


class RunningEdge(Edge):
    """The edge of an instance, and how clients ask it."""

    def __init__(self, name, folder):
        super().__init__(f"{name}-edge", folder / f"{name}-edge")
        self.name = name
        port, pdserving_port = _free_ports(2)
        self.variables = {
            "hubserving_image": IMAGE,
            "edge_slot": "a",
            "edge_wait": 1,
            "edge_instance": {
                "name": name, "bind": "127.0.0.1", "port": port,
                "pdserving": True, "pdserving_port": pdserving_port,
            },
            "hubserving_network": name,
            "hubserving_config_dir": str(folder),
            "hubserving_tokens": ["word"],
        }  # fmt: skip

    def run_role(self, *tasks, **variables):
        roles = [{"name": "edge", "tasks_from": each} for each in tasks]
        defaults = [str(ROOT / "roles/hubserving/defaults/main.yml")]
        play = {
            "hosts": "localhost", "gather_facts": False, "vars_files": defaults,
            "tasks": [{"ansible.builtin.include_role": role} for role in roles],
        }  # fmt: skip
        file = self.folder.parent / "play.yml"
        file.write_text(yaml.safe_dump([play]))
        given = json.dumps(self.variables | variables)
        done = subprocess.run(
            ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", given, file],
            cwd=ROOT, env={**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not done.returncode, done.stdout + done.stderr

    def wait(self):
        """Until it answers."""
        for _ in range(100):
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.post("port", "/livez")
                return
            time.sleep(0.3)
        raise AssertionError(docker("logs", self.container).stderr)

    def post(self, port, path, token="word"):  # noqa: S107
        """(HTTP status, headers, body) of a POST to the ``port`` or the ``pdserving_port``."""
        return self.request("POST", port, path, token)

    def get(self, port, path, token="word"):  # noqa: S107
        return self.request("GET", port, path, token)

    def request(self, method, port, path, token):
        number = self.variables["edge_instance"][port]
        client = http.client.HTTPConnection("127.0.0.1", number, timeout=60)
        body = b"{}" if method == "POST" else None
        with contextlib.closing(client):
            client.request(method, path, body, {"Authorization": f"Bearer {token}"})
            answer = client.getresponse()
            return answer.status, answer.headers, answer.read().decode()


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    name = f"ppocr-test-{uuid.uuid4().hex[:8]}"
    one = RunningEdge(name, tmp_path_factory.mktemp("edge"))
    one.folder.parent.chmod(0o755)
    docker("network", "create", name)
    try:
        one.run_role("find", "main")
        one.wait()
        yield one
    finally:
        docker("rm", "--force", one.container, f"{name}-a", check=False)
        docker("network", "rm", name, check=False)


def test_what_it_answers_by_itself_has_the_shape_of_the_port(edge):
    for path, token, status, number, says in (
        ("/ocr/prediction", "other", 401, 5000, "a bearer token is needed"),
        ("/predict/ocr_system", "word", 404, 5000, "no such path here: POST /ocr/prediction"),
        ("/ocr/prediction", "word", 503, 3001, "the container is starting"),
    ):
        code, _, body = edge.post("pdserving_port", path, token)
        told = json.loads(body)
        assert says in told.pop("err_msg")
        assert (code, told) == (status, {"err_no": number, **EMPTY})
    for token, status in (("other", 401), ("word", 503)):
        code, _, body = edge.post("port", "/predict/ocr_system", token)
        told = json.loads(body)
        assert (code, told["status"], told["results"]) == (status, "101", "")


def test_both_ports_lead_to_the_one_that_serves(edge):
    run = ("run", "--detach", "--name", f"{edge.name}-a", "--network", edge.name)
    number = str(edge.variables["edge_instance"]["port"])
    docker(*run, "--network-alias", f"{edge.name}-a", IMAGE, "python", "-c", BEHIND, number)
    asked = {"port": "/predict/ocr_system", "pdserving_port": "/ocr/prediction"}
    for port, path in asked.items():
        # It may still start, and without its address the edge answers at once.
        until = time.monotonic() + 60
        while (found := edge.post(port, path))[0] == 503 and time.monotonic() < until:
            time.sleep(0.2)
        assert (found[0], found[2]) == (200, path)
    edge.serve("b")
    assert {edge.post(port, path)[0] for port, path in asked.items()} == {503}
    edge.serve("a")
    assert {edge.post(port, path)[0] for port, path in asked.items()} == {200}


def test_it_has_metrics_of_its_own_for_those_with_a_token(edge):
    code, _, body = edge.get("port", "/metrics/edge")
    assert code == 200 and 'haproxy_frontend_status{proxy="clients",state="UP"} 1' in body
    assert edge.get("port", "/metrics/edge", token="other")[0] == 401  # noqa: S106
    assert edge.get("pdserving_port", "/metrics/edge")[0] == 404


def test_maintenance_is_for_both(edge):
    edge.run_role("maintain", edge_of=[edge.name], edge_maintenance=True)
    code, headers, body = edge.post("pdserving_port", "/ocr/prediction")
    message = "the service is under maintenance; send the request again later"
    assert (code, headers["Retry-After"]) == (503, "600")
    assert json.loads(body) == {"err_no": 3001, "err_msg": message, **EMPTY}
    code, _, body = edge.post("port", "/predict/ocr_system")
    assert (code, json.loads(body)["msg"]) == (503, message)
    # As maintenance was before there were two ports: one answer for all.
    edge.maintain({"answer": json.dumps({"status": "101", "msg": "x", "results": ""})}, 5)
    assert edge.post("pdserving_port", "/ocr/prediction")[0] == 503
    edge.run_role("maintain", edge_of=[edge.name], edge_maintenance=False)
    assert edge.post("pdserving_port", "/none")[0] == 404


def test_the_edge_of_a_swarm_has_both_ports(edge, tmp_path):
    swarm = {"service": "ppocr_service", "network": edge.name}

    # HAProxy checks what is written.
    def configure(**settings):
        where = {"edge_swarm": swarm, "hubserving_config_dir": str(tmp_path)}
        edge.run_role("find", "configure", **where, **settings)
        return (tmp_path / f"{edge.name}-edge/haproxy.cfg").read_text()

    assert "be_conn" not in configure(edge_memory_limit="0")
    written = configure()
    for key in ("port", "pdserving_port"):
        assert f":{edge.variables['edge_instance'][key]}\n" in written
    assert written.count("default_backend tasks") == 2
    # 512 MiB hold so many requests that are kept until they are answered.
    assert written.count("be_conn(tasks) ge 192 }") == 2
