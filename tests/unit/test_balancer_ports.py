"""The ports that role balancer checks before its HAProxy is to have them."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest
from plays import run_play
from role_code import ROOT

pytestmark = pytest.mark.slow
PLAY = f"""
- hosts: ppocr_hosts
  gather_facts: false
  environment: {{PATH: "FOLDER:/usr/bin:/bin"}}
  tasks:
    - ansible.builtin.include_tasks: {ROOT}/roles/balancer/tasks/ports.yml
"""


@pytest.mark.parametrize("status", [0, 3])
def test_a_port_that_another_program_holds_is_refused_while_ours_runs(
    tmp_path: Path, status: int
) -> None:
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\nexit {status}\n")
    (tmp_path / "systemctl").chmod(0o755)
    with (
        socket.create_server(("127.0.0.1", 0)) as ours,
        socket.create_server(("127.0.0.1", 0)) as its,
    ):
        held, taken = (one.getsockname()[1] for one in (ours, its))
        (tmp_path / "haproxy.cfg").write_text(f"    bind :::{held} ssl crt /etc/x/tls.pem\n")
        services = [{"name": "a", "port": held}, {"name": "b", "port": taken}]
        given = {
            "_balancer_config": str(tmp_path / "haproxy.cfg"), "_balancer_services": services,
            "balancer_bind": "0.0.0.0", "balancer_metrics_bind": "127.0.0.1",
            "balancer_metrics_port": held if status == 0 else 1,
        }  # fmt: skip
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        play = PLAY.replace("FOLDER", str(tmp_path))
        done, output = run_play(tmp_path, play, {"here": here}, "-e", json.dumps(given))
    assert done == 2 and f"Port {taken} for b is held by" in output, output
    assert (f"Port {held} for a" in output) == bool(status)
