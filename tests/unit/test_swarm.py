"""When a Swarm service counts as settled; tests/lab/test_swarm.py deploys one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from plays import run_play
from role_code import ROOT, load

swarm = load("plugins/modules/swarm_settled.py")
STRAYS = load("plugins/filter/swarm.py").swarm_strays


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have ``docker`` say what a manager says of a service."""

    def engine(label: str, state: str, tasks: list[tuple[str, str]], wanted: int = 2) -> None:
        status = {"UpdateStatus": {"State": state}} if state else {}
        told = {
            ("service", "inspect"): [{"Spec": {"Labels": {"mark": label}}, **status}],
            ("service", "ls"): {"Name": "s", "Replicas": f"1/{wanted} (max 1 per node)"},
            ("inspect", "--type=task"): [
                {
                    "Status": {"State": running},
                    "Spec": {"ContainerSpec": {"Labels": {"mark": mark}}},
                }
                for mark, running in tasks
            ],
        }
        rows = json.dumps({"Name": "s.1", "Node": "h1", "Error": '"task: non-zero exit (1)"'})

        def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
            said = json.dumps(told.get((command[1], command[2]), ""))
            if command[1:3] == ["service", "ps"]:
                said = "1 2" if "--quiet" in command else rows
            return subprocess.CompletedProcess(command, 0, said, "")

        monkeypatch.setattr(swarm.subprocess, "run", run)

    return engine


def node(name: str, state: str = "ready", **labels: str) -> dict:
    described = {"ID": f"id-{name}", "Description": {"Hostname": name}, "Status": {"State": state}}
    return {**described, "Spec": {"Labels": labels} if labels else {}}


def test_nodes_that_no_host_of_the_run_is_are_found_by_their_label() -> None:
    nodes = [
        node("web1", host="ppocr"), node("web2", host="ppocr"), node("web3", "down", host="ppocr"),
        node("other", host="another"), node("new"),
    ]  # fmt: skip
    assert STRAYS(json.dumps(nodes), ["id-web1", ""], "host", "ppocr") == [
        {"id": "id-web2", "name": "web2", "is_up": True},
        {"id": "id-web3", "name": "web3", "is_up": False},
    ]
    assert STRAYS(json.dumps(nodes[:1]), ["id-web1"], "host", "ppocr") == []


NEW, OLD = ("new", "running"), ("old", "running")


@pytest.mark.parametrize(
    ("state", "tasks", "is_settled"),
    [
        ("", [NEW, NEW], True),
        ("completed", [NEW, NEW], True),
        ("rollback_completed", [NEW, NEW], True),  # an earlier one: the label is the wanted one
        ("updating", [NEW, NEW], False),  # still watched (swarm_update_monitor)
        ("", [OLD, OLD], False),  # not begun yet
        ("completed", [NEW, ("new", "starting")], False),
        ("completed", [NEW, NEW, OLD], False),
    ],
)
def test_it_is_settled_with_all_tasks(engine, state: str, tasks: list, is_settled: bool) -> None:
    engine("new", state, tasks)
    assert swarm.settled(swarm.Service("s", "mark"), "new")[0] is is_settled


@pytest.mark.parametrize(
    ("label", "state", "says"),
    [
        ("old", "rollback_completed", "Swarm has rolled back the update"),
        ("new", "paused", "Swarm has stopped the update"),
    ],
)
def test_an_update_that_failed_is_told(engine, label: str, state: str, says: str) -> None:
    engine(label, state, [OLD, OLD])
    with pytest.raises(swarm.Unsettled, match=says) as told:
        swarm.wait(swarm.Service("s", "mark"), "new", 1)
    assert "s.1 on h1: task: non-zero exit (1)" in str(told.value)


def test_one_that_gets_no_further_is_told(engine) -> None:
    engine("new", "updating", [NEW])
    with pytest.raises(swarm.Unsettled, match="no task more is ready after 0 s"):
        swarm.wait(swarm.Service("s", "mark"), "new", 0)


def test_managers_that_do_not_answer_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([swarm.NoAnswer("The swarm does not have a leader"), (True, 2)])

    def settled(*_: object) -> tuple[bool, int]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(swarm, "settled", settled)
    monkeypatch.setattr(swarm, "PAUSE", 0)
    assert swarm.wait(swarm.Service("s", "mark"), "new", 5) == 2


COMPARE = f"""
- hosts: ppocr_hosts
  gather_facts: false
  vars_files: [{ROOT / "roles/swarm/vars/main.yml"}]
  tasks:
    - ansible.builtin.debug:
        msg: "{{{{ inventory_hostname }}}} {{{{ _swarm_mode }}}} {{{{ _swarm_differs | ternary('deploy', 'leave') }}}}"
      vars:
        _swarm_mark: same
        __swarm_service: {{stdout: "{{{{ [{{'Spec': {{'Labels': labels, 'Mode': runs}}}}] | to_json }}}}"}}
        labels: {{org.ppocr.config: same}}
"""  # noqa: E501


@pytest.mark.slow
def test_a_service_that_is_as_wanted_is_left_alone(tmp_path: Path) -> None:
    three = {"Replicated": {"Replicas": 3}}
    here = {"ansible_connection": "local"}
    hosts = {
        "same": {**here, "ppocr_replicas": 3, "runs": three},
        "text": {**here, "ppocr_replicas": "3", "runs": three},
        "more": {**here, "ppocr_replicas": 4, "runs": three},
        "each": {**here, "runs": {"Global": {}}},
    }
    status, output = run_play(tmp_path, COMPARE, hosts)
    assert status == 0, output
    for line in ("same replicated leave", "text replicated leave", "more replicated deploy"):
        assert line in output
    assert "each global leave" in output


WAYS = f"""
- hosts: ppocr_hosts
  gather_facts: false
  vars_files: [{ROOT / "roles/hubserving/vars/main/main.yml"}]
  tasks:
    - ansible.builtin.debug:
        msg: >-
          {{{{ inventory_hostname }}}} stack {{{{ _hubserving_in_a_swarm }}}}
          plain {{{{ _hubserving_plain }}}}.
"""


@pytest.mark.slow
def test_a_stack_and_plain_containers_are_told_apart(tmp_path: Path) -> None:
    def host(edges: list[str], *names: str) -> dict:
        labels = {"org.ppocr.instance": "ppocr"}
        found = [{"Name": name, "Config": {"Labels": labels}} for name in names]
        here = {"ansible_connection": "local", "edge_swarms": edges}
        return {**here, "__hubserving_containers": found}

    hosts = {
        "tasks": host(["ppocr"], "/ppocr_service.1.x", "/ppocr_service.2.y"),
        "drained": host(["ppocr"]),
        "plain": host([], "/ppocr"),
        "none": host([]),
    }
    status, output = run_play(tmp_path, WAYS, hosts)
    assert status == 0, output
    for name in ("tasks", "drained"):
        assert f"{name} stack ['ppocr'] plain []." in output
    assert "plain stack [] plain ['ppocr']." in output and "none stack [] plain []." in output
