"""How a drained host is kept in HAProxy's configuration."""

from __future__ import annotations

import types

from role_code import load

MODULE = load("plugins/modules/balancer_server.py")
TEXT = """backend ppocr
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host balancer
    server ocr1 192.0.2.1:8866
    server ocr10 192.0.2.10:8866 ssl verify required ca-file /etc/ppocr-balancer/backends.pem
"""


def test_a_mark_is_for_one_host_and_can_be_taken_back() -> None:
    drained = MODULE.with_marks(TEXT, {"ocr1"}, out=True)
    assert drained == TEXT.replace("192.0.2.1:8866\n", "192.0.2.1:8866 disabled\n")
    assert MODULE.marked(drained) == {"ocr1"} and MODULE.marked(TEXT) == set()
    assert MODULE.with_marks(drained, {"ocr1"}, out=True) == drained
    both = MODULE.with_marks(drained, {"ocr10"}, out=True)
    assert MODULE.marked(both) == {"ocr1", "ocr10"}
    assert MODULE.with_marks(both, {"ocr1", "ocr10"}, out=False) == TEXT


def balancer(**states: str) -> types.SimpleNamespace:
    """One whose hosts have these states; setting one writes it down."""
    rows = [
        {"pxname": "ppocr", "svname": name, "status": status, "scur": "0"}
        for name, status in states.items()
    ]
    told: list[tuple[str, str]] = []
    return types.SimpleNamespace(
        rows=lambda: rows,
        told=told,
        set=lambda row, state: told.append((row["svname"], state)),
        wait=lambda *_: [],
        named=lambda servers: [row for row in rows if row["svname"] in servers],
    )


def test_the_last_host_that_is_up_is_not_taken_out() -> None:
    both = balancer(ocr1="UP", ocr2="UP")
    assert MODULE.last_up(both, {"ocr1"}) == []
    assert MODULE.last_up(both, {"ocr1", "ocr2"}) == ["ocr1", "ocr2"]
    for other in ("DOWN", "MAINT", "DRAIN"):
        left = balancer(ocr1="UP", ocr2=other)
        assert MODULE.last_up(left, {"ocr1"}) == ["ocr1"]
        assert MODULE.last_up(left, {"ocr2"}) == []
        assert MODULE.drain(left, {"ocr1"}, 0, lasting=False) == (
            False, "no other host is up for ocr1 (ppocr): it stays in",
        )  # fmt: skip
        assert left.told == []


def test_a_host_that_others_stand_in_for_is_taken_out() -> None:
    both = balancer(ocr1="UP", ocr2="UP")
    assert MODULE.drain(both, {"ocr1"}, 0, lasting=True) == (True, "")
    assert both.told == [("ocr1", "drain"), ("ocr1", "maint")]


def test_a_host_that_is_down_is_put_back_before_it_is_up_again() -> None:
    for status, changed in (("DRAIN", True), ("MAINT", True), ("DOWN", False)):
        one = balancer(ocr1=status, ocr2="UP")
        assert MODULE.put_back(one, {"ocr1", "ocr2"}, 0) == (changed, [])
        assert one.told == [("ocr1", "ready")]


def test_a_host_has_the_states_of_all_its_instances() -> None:
    both = balancer(ocr1="UP", ocr2="DRAIN")
    both.rows().append({"pxname": "rec", "svname": "ocr1", "status": "DOWN", "scur": "0"})
    assert MODULE.states(both) == {"ocr1": ["DOWN", "UP"], "ocr2": ["DRAIN"]}
