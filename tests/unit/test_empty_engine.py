"""Roles where Docker's module finds one image and nothing else, on an engine of this file's own.

tests/lab has real ones.
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


def run(
    folder: Path, engine: Path, play: str, *arguments: str, docker: str = "", **settings: str
) -> tuple[int, str]:
    """Run a play here; ``docker`` is what a program of that name does."""
    (folder / "docker").write_text(f"#!/bin/sh\n{docker}\n")
    (folder / "docker").chmod(0o755)
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    play = play.replace("SOCKET", str(engine)).replace("FOLDER", str(folder))
    return run_play(folder, play, {"here": {**here, **settings}}, *arguments)


def test_containers_would_be_created_where_the_image_is_and_no_network(
    tmp_path: Path, engine: Path
) -> None:
    status, output = run(tmp_path, engine, PLAY, "--check")
    assert status == 0 and "True and True." in output, output


EDGE = """
- hosts: ppocr_hosts
  gather_facts: false
  environment: {DOCKER_HOST: "unix://SOCKET", PATH: "FOLDER:/usr/bin:/bin"}
  vars:
    __hubserving_name: ppocr
    hubserving_config_dir: FOLDER/config
    edge_image: ppocr:1
    hubserving_tokens: [one]
  tasks:
    - ansible.builtin.include_role: {name: hubserving, tasks_from: validate, public: true}
    - ansible.builtin.include_role: {name: edge}
      vars: {edge_instance: {name: ppocr, port: 8866, bind: 0.0.0.0}}
    - ansible.builtin.debug: {msg: "{{ edge_changed }} is known."}
"""


def test_check_mode_knows_that_the_edge_would_ask_for_other_tokens(
    tmp_path: Path, engine: Path
) -> None:
    status, output = run(tmp_path, engine, EDGE, "--check")
    assert status == 0 and "True is known." in output, output


EXCHANGE = """
- hosts: ppocr_hosts
  gather_facts: false
  environment: {DOCKER_HOST: "unix://SOCKET", PATH: "FOLDER:/usr/bin:/bin"}
  vars:
    __hubserving_name: ppocr
    __hubserving_step: {proven: false}
    __hubserving_before: {rc: 0, stdout: '[{"Config": {"Labels": {}}}]'}
    hubserving_config_dir: FOLDER/config
    hubserving_image: ppocr:1
  tasks:
    - ansible.builtin.include_role: {name: hubserving, tasks_from: validate}
    - ansible.builtin.include_role: {name: hubserving, tasks_from: exchange}
"""


@pytest.mark.parametrize("update", ["pause", "beside"])
def test_without_an_edge_too_the_old_container_makes_room(
    tmp_path: Path, engine: Path, update: str
) -> None:
    docker = f'echo "$@" >> {tmp_path}/told'
    # This engine creates no container.
    status, output = run(tmp_path, engine, EXCHANGE, docker=docker, hubserving_update=update)
    told = (tmp_path / "told").read_text().splitlines()
    assert status == 2 and ("stop ppocr" in told) == (update == "pause"), (told, output)


REMOVE = """
- hosts: ppocr_hosts
  gather_facts: false
  environment: {DOCKER_HOST: "unix://SOCKET", PATH: "FOLDER:/usr/bin:/bin"}
  vars:
    hubserving_config_dir: FOLDER/config
    hubserving_graceful_timeout: 30
  tasks:
    - ansible.builtin.include_role: {name: edge, tasks_from: remove}
      vars: {edge_of: [old]}
    - ansible.builtin.include_role: {name: edge, tasks_from: maintained}
    - ansible.builtin.debug: {msg: "maintained: {{ edge_maintained | join('+') }}."}
"""


def test_maintenance_ends_with_the_edge(tmp_path: Path, engine: Path) -> None:
    rows = []
    for name in ("old", "ppocr"):
        folder = tmp_path / f"config/{name}-edge"
        folder.mkdir(parents=True)
        (folder / "maintenance.map").write_text("answer 503 600 {}\n")
        rows.append(
            {"Names": f"{name}-edge", "Labels": f"org.ppocr.edge={name}", "Image": "e:1",
             "Networks": "ppocr", "State": "running"}
        )  # fmt: skip
    (tmp_path / "rows").write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, output = run(tmp_path, engine, REMOVE, docker=f"cat {tmp_path}/rows")
    assert status == 0 and "maintained: ppocr." in output, output
