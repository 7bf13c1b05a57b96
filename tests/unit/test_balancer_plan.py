"""What a balancer shares out, from the variables of the hosts, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from role_code import load

BALANCER = load("plugins/filter/balancer.py")
PLAN = BALANCER.balancer_plan
ROLLOUT = load("plugins/filter/rollout.py")


def host(name: str, **variables: Any) -> dict[str, Any]:
    return {"inventory_hostname": name, "ansible_host": f"192.0.2.{name[-1]}", **variables}


def plan(*hosts: dict[str, Any], **options: Any) -> dict[str, Any]:
    asked = {"balancer": "lb", "ports": {}, "offset": 1000, "metrics_port": 8404, **options}
    return PLAN(hosts, **asked)


def test_each_instance_has_a_port_of_the_balancer() -> None:
    two = [{"name": "det", "port": 8866}, {"name": "rec", "port": 8867, "bind": "10.0.0.1"}]
    found = plan(host("ocr1", hubserving_instances=two), host("ocr2", hubserving_instances=two[:1]))
    assert found["problems"] == []
    assert [(each["name"], each["port"]) for each in found["services"]] == [
        ("det", 9866), ("rec", 9867),
    ]  # fmt: skip
    servers = [
        [(server["name"], server["address"], server["port"]) for server in each["servers"]]
        for each in found["services"]
    ]
    assert servers == [
        [("ocr1", "192.0.2.1", 8866), ("ocr2", "192.0.2.2", 8866)],
        [("ocr1", "10.0.0.1", 8867)],
    ]


def test_settings_of_a_host_are_its_own() -> None:
    found = plan(
        host("ocr1", balancer_address="10.0.0.1", hubserving_tls_cert="/a.crt"),
        host("ocr2", hubserving_timeout="300", hubserving_hosts=["ocr.example.com"]),
    )
    (service,) = found["services"]
    assert [server["address"] for server in service["servers"]] == ["10.0.0.1", "192.0.2.2"]
    assert [server["tls"] for server in service["servers"]] == [True, False]
    assert service["timeout"] == 300 and found["certificates"] == ["/a.crt"]


def test_checks_use_a_name_that_all_hosts_accept() -> None:
    def named(*lists: list[str]) -> dict[str, Any]:
        return plan(*(host(f"ocr{n}", hubserving_hosts=each) for n, each in enumerate(lists)))

    for lists, name in (
        ([[], []], "balancer"),
        ([[], ["ocr.example"]], "ocr.example"),
        ([["ocr1.example", "ocr.example"], [], ["ocr2.example", "OCR.example."]], "ocr.example"),
    ):
        found = named(*lists)
        assert found["problems"] == [] and found["services"][0]["host"] == name
    (said,) = named(["a.example"], ["b.example"], ["a.example"])["problems"]
    assert "instance ppocr have no name in common" in said


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"balancer": "ocr1", "offset": 0}, "is also the hubserving_port of instance ppocr there"),
        ({"ports": {"ppocr": 8404}}, "is also the balancer_metrics_port there"),
        ({"ports": {"ocr": 443}}, "balancer_ports names ocr, and no host has such an instance"),
        ({"offset": 60000}, "which is no port: set balancer_port_offset"),
    ],
)
def test_ports_that_cannot_be_are_refused(options: dict, problem: str) -> None:
    (said,) = plan(host("ocr1"), host("ocr2"), **options)["problems"]
    assert problem in said


@pytest.mark.parametrize(
    ("variables", "options", "problem"),
    [
        (
            {"hubserving_pdserving": True},
            {"ports": {"ppocr": 9998}},
            "at port 9998, which is also the hubserving_pdserving_port of instance ppocr there",
        ),
        ({"ppocr_cluster": "swarm"}, {"ports": {"ppocr": 7946}}, "the port of Docker Swarm there"),
        (
            {"hubserving_port": 8404},
            {},
            "metrics at port 8404, which is also the hubserving_port of instance ppocr there: "
            "set balancer_metrics_port",
        ),
    ],
)
def test_ports_of_its_own_host_are_refused(variables, options: dict, problem: str) -> None:
    there, elsewhere = host("ocr1", **variables), host("ocr2", **variables)
    (said,) = plan(there, elsewhere, balancer="ocr1", **options)["problems"]
    assert problem in said
    assert plan(there, elsewhere, balancer="lb", **options)["problems"] == []


def test_two_instances_do_not_share_a_port() -> None:
    two = [{"name": "det", "port": 8866}, {"name": "rec", "port": 8867}]
    found = plan(host("ocr1", hubserving_instances=two), ports={"det": 443, "rec": 443})
    assert "at port 443, which is also the port for instance det there" in found["problems"][0]


def test_only_its_own_host_is_reached_at_loopback() -> None:
    local = {"inventory_hostname": "here", "ansible_connection": "local"}
    assert plan(local, balancer="here")["problems"] == []
    (said,) = plan(local)["problems"]
    assert "cannot reach here at 127.0.0.1: set balancer_address of here" in said


def test_balancers_are_told_apart_by_whether_they_send_requests() -> None:
    answers = [
        {"item": "lb1", "servers": {"ocr1": ["UP 2/3"], "ocr2": ["MAINT"]}},
        {"item": "lb2", "servers": {"ocr1": ["DOWN", "UP"]}},
        {"item": "lb3", "unreachable": True},
        {"item": "lb4", "msg": "HAProxy does not answer"},
    ]
    rest = "lb3: not reachable, lb4: does not answer"
    assert BALANCER.balancer_states(answers, "ocr1") == f"lb1: in, lb2: out (DOWN, UP), {rest}"
    assert BALANCER.balancer_states(answers, "ocr2").startswith(
        "lb1: out (MAINT), lb2: out (unknown there)"
    )
    assert BALANCER.balancer_states([], "ocr1") == ""


@pytest.mark.parametrize(
    ("serial", "sizes"),
    [(1, [1] * 5), ("2", [2, 2, 1]), ("40%", [2, 2, 1]), ([1, "100%"], [1, 4]), ("10%", [1] * 5)],
)
def test_batches_are_those_of_ansible(serial: Any, sizes: list[int]) -> None:
    hosts = [{"inventory_hostname": name, "hubserving_replaced": ["ppocr"]} for name in "abcde"]
    together, *batches = ROLLOUT.rollout_batches(hosts, serial)
    assert together == [] and [len(batch) for batch in batches] == sizes
    assert "".join(name for batch in batches for name in batch) == "abcde"
    assert ROLLOUT.rollout_serial_error(serial) == ""


def test_hosts_that_are_not_interrupted_go_together() -> None:
    hosts = [
        {"inventory_hostname": "a", "hubserving_replaced": []},
        {"inventory_hostname": "b", "hubserving_replaced": ["ppocr"]},
        {"inventory_hostname": "c"},
    ]
    assert ROLLOUT.rollout_batches(hosts, 1) == [["a", "c"], ["b"]]


@pytest.mark.parametrize("serial", [0, "x", "-1", True, None, [], [1, "0%"], 1.5])
def test_other_batches_are_refused(serial: Any) -> None:
    assert "ppocr_serial is" in ROLLOUT.rollout_serial_error(serial)
