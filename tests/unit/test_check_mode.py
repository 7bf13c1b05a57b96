"""Check mode on a host that has the image and nothing else; tests/lab/test_deploy.py has more.

Docker's module asks an engine of this file's own, which has one image and no network.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from plays import run_play

pytestmark = pytest.mark.slow
IMAGE = {"Id": "sha256:" + "1" * 64, "Config": {}, "RepoTags": ["ppocr:1"]}
ANSWERS: dict[str, object] = {
    "version": {"Version": "28.0.0", "ApiVersion": "1.48"},
    "networks": [],
    "containers/json": [],
    "images/json": [IMAGE],
    "images/ppocr:1/json": IMAGE,
    f"images/{IMAGE['Id']}/json": IMAGE,
}
PLAY = """
- hosts: ppocr_hosts
  gather_facts: false
  environment: {DOCKER_HOST: "unix://SOCKET"}
  vars:
    __hubserving_name: ppocr
    __hubserving_network: {rc: 1}
    hubserving_image: ppocr:1
    edge_image: ppocr-edge:1
  tasks:
    - ansible.builtin.include_role: {name: hubserving, tasks_from: validate, public: true}
    - ansible.builtin.include_role: {name: hubserving, tasks_from: container}
      vars: {__hubserving_container: {name: ppocr, slot: a, serves: true, probe: true}}
    - ansible.builtin.include_role: {name: edge, tasks_from: container}
      vars: {edge_instance: {name: ppocr, port: 8866, bind: 0.0.0.0}}
    - ansible.builtin.debug:
        msg: "{{ __hubserving_probe.changed }} and {{ __edge_run.changed }}."
"""


class Engine(BaseHTTPRequestHandler):
    """Answers what is in ANSWERS, and that there is nothing else."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0].lstrip("/").partition("v1.48/")
        answer = ANSWERS.get(path[2] or path[0])
        data = json.dumps(answer if answer is not None else {"message": "No such thing"}).encode()
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Path]:
    with Server(str(tmp_path / "engine"), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path / "engine"
        server.shutdown()


def test_containers_would_be_created_where_the_image_is_and_no_network(
    tmp_path: Path, engine: Path
) -> None:
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    play = PLAY.replace("SOCKET", str(engine))
    status, output = run_play(tmp_path, play, {"here": here}, "--check")
    assert status == 0 and "True and True." in output, output
