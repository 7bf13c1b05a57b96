"""The contract of deploy/pdserving, and what the roles make of its settings.

The service answers it in tests/service/test_pdserving.py, the edge in tests/image/test_edge.py.
"""

from __future__ import annotations

import ast
import json
import socket
import sys
from pathlib import Path

import pytest
from plays import run_play
from role_code import load

from ppocr_contract import pdserving

hubserving = load("plugins/filter/hubserving.py")
edge = load("plugins/filter/edge.py")
kubernetes = load("plugins/filter/kubernetes.py")
INSTANCE = {"name": "ppocr", "bind": "0.0.0.0", "port": 8866, "pdserving": True}


def test_any_text_comes_back_from_the_value() -> None:
    texts = ["纯臻营养护发素", "it's", 'a "b"', "\\n", "\n", "', 1.0), [[0.0", ""]
    lines = [{"text": t, "confidence": 0.5, "text_region": [[1, 2]] * 4} for t in texts]
    told = json.loads(json.dumps(pdserving.answer(lines)))
    assert told["err_no"] == 0 and told["key"] == ["result"] and told["tensors"] == []
    box = [[1.0, 2.0]] * 4
    assert ast.literal_eval(told["value"][0]) == [[(text, 0.5), box] for text in texts]


@pytest.mark.parametrize(
    ("status", "number"),
    [(200, 0), (400, 5000), (401, 5000), (404, 5000), (413, 5000), (422, 5000),
     (408, 6000), (504, 6000), (503, 3001), (500, 10000), (502, 10000)],
)  # fmt: skip
def test_each_http_status_has_its_number(status: int, number: int) -> None:
    told = pdserving.failure("why", status)
    assert told == {"err_no": number, "err_msg": "why", "key": [], "value": [], "tensors": []}
    assert json.loads(edge.edge_failure("why", status, "pdserving")) == told


def test_an_edge_keeps_the_shape_of_its_first_port() -> None:
    told = {"status": "101", "msg": "why", "results": ""}
    assert json.loads(edge.edge_failure("why", 503, "hubserving")) == told
    keys = {"hubserving": ["answer"], "pdserving": ["pdserving", "answer"]}
    answers = edge.edge_maintenance_answers("it's so", keys)
    assert json.loads(answers["answer"])["msg"] == "it's so"
    assert json.loads(answers["pdserving"])["err_no"] == 3001


def test_the_port_is_published_with_and_without_an_edge() -> None:
    given = {**INSTANCE, "pdserving_port": 9998}
    assert hubserving.hubserving_published(given) == ["0.0.0.0:8866:8866", "0.0.0.0:9998:8866"]
    for no in (False, "no"):
        off = {**given, "pdserving": no}
        assert hubserving.hubserving_published(off) == ["0.0.0.0:8866:8866"]
    assert edge.edge_published(9998, "127.0.0.1") == "127.0.0.1:9998:9998"
    for bind in ("::1", "[::1]"):  # Docker's module takes an IPv6 address in brackets alone
        assert edge.edge_published(9998, bind) == "[::1]:9998:9998"
        assert hubserving.hubserving_published({**off, "bind": bind}) == ["[::1]:8866:8866"]


def test_instances_have_the_port_by_the_setting_or_their_own_word() -> None:
    entries = [
        {"name": "a", "port": 1},
        {"name": "b", "port": 2, "pdserving": "no"},
        {"name": "c", "port": 3, "pdserving": "yes", "pdserving_port": "9"},
    ]

    def ports(on: object) -> list[tuple[str, int]]:
        found = hubserving.hubserving_pdserving(entries, on, 9998)
        return [(entry["name"], entry["port"]) for entry in found]

    assert ports(False) == ports("false") == [("c", 9)]
    assert ports("true") == [("a", 9998), ("c", 9)]


@pytest.mark.parametrize(
    ("server", "modules", "network", "says"),
    [
        ("gunicorn", ["ocr_system"], "ppocr", ""),
        ("hub", ["ocr_system"], "ppocr", "plain hub serving has no such path"),
        ("gunicorn", ["ocr_det"], "ppocr", "ocr_system reads for it: add that to hubserving_mo"),
        ("gunicorn", ["ocr_system"], "host", "with hubserving_network: host the container has"),
    ],
)
def test_where_it_cannot_be_served(
    server: str, modules: list[str], network: str, says: str
) -> None:
    told = hubserving.hubserving_pdserving_error(INSTANCE, server, modules, network)
    assert says in told and bool(told) == bool(says)
    assert not hubserving.hubserving_pdserving_error({"pdserving": False}, "hub", [], "host")


@pytest.mark.parametrize(
    ("port", "ports"), [(0, [("http", 8866)]), (9998, [("http", 8866), ("pdserving", 9998)])]
)
def test_a_service_of_kubernetes_has_the_port(port: int, ports: list[tuple[str, int]]) -> None:
    settings = {"networks": [], "service_type": "ClusterIP"}
    given = {"port": 8866, "pdserving_port": port}
    found = kubernetes._service("ppocr", given, settings)["ports"]
    assert [(each["name"], each["port"]) for each in found] == ports
    assert {each["targetPort"] for each in found} == {"http"}


@pytest.mark.slow
def test_preflight_refuses_a_port_that_is_held(tmp_path: Path) -> None:
    play = """
- hosts: ppocr_hosts
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: preflight, tasks_from: ports}
"""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        here = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "hubserving_port": 1,
            "hubserving_pdserving": True,
            "hubserving_pdserving_port": port,
        }
        status, said = run_play(tmp_path, play, {"here": here})
    assert status == 2 and f"Port {port} of instance ppocr is held by" in said, said
    assert "hubserving_pdserving_port" in said
