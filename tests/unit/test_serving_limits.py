"""Bounds of a worker: values of a body, and memory for pictures."""

import json
import threading
import time

import pytest
from ppocr_serving import memory
from ppocr_serving.report import RequestError
from ppocr_serving.server import bodies
from ppocr_serving.server.settings import Settings

MANY = bodies.MOST_VALUES + 1


def body(value, encoding="utf-8"):
    return json.dumps(value).encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_requests_pass_in_every_encoding(encoding):
    picture = 'x,[{"\\' * 50_000  # whatever a string holds, it is one value
    order = {"data": picture, "pages": "1-3,7", "dpi": 200, "pictures": True}
    bodies.check(body({"images": [picture] * 32, "pdfs": [order] * 20}, encoding))
    with pytest.raises(bodies.BodyError, match="values"):
        bodies.check(body({"images": [[]] * MANY}, encoding))


@pytest.mark.parametrize(
    "value",
    [
        {str(number): 0 for number in range(MANY)},
        [0] * 2 * MANY,
        [""] * MANY,
        [{}] * MANY,
        {"a": "\\", "b": [0] * 2 * MANY},
        {'"': 'x\\"', "b": [0] * 2 * MANY},
        {"a\n": "\\n\\\\", "b": [{"": 0}] * MANY},
    ],
    ids=range(7),
)
def test_very_many_values_are_refused(value):
    for text in (json.dumps(value), json.dumps(value, indent=3), json.dumps(value)[:-1]):
        with pytest.raises(bodies.BodyError, match="values"):
            bodies.check(text.encode())


def test_depth():
    bodies.check(b"[" * 64 + b"]" * 64)
    bodies.check(b'["' + b"[" * 5000 + b'"]')
    for text in (b"[" * 65, b'{"a":' * 65, b"[[]," * 3 + b"[" * 63):
        with pytest.raises(bodies.BodyError, match="deep"):
            bodies.check(text)


def test_what_is_no_json_is_left_to_the_parser():
    for text in (b"", b"{", b"\xff\xfe\x00", b"\xff" * 99, b"]" * 99, b'"\\'):
        bodies.check(text)


def test_room_is_given_in_the_order_it_is_asked_for():
    room, order = memory.Room(100, 30), []
    room.take(70)

    def ask(size):
        with room.held(size):
            order.append(size)

    large = threading.Thread(target=ask, args=(60,))
    large.start()
    while not room._waiting:
        pass
    assert not room.try_take(10)  # there is room, but another has waited longer
    small = threading.Thread(target=ask, args=(10,))
    small.start()
    while len(room._waiting) < 2:
        pass
    assert order == []
    room.give_back(70)
    for thread in (large, small):
        thread.join(30)
    assert order == [60, 10] and room.try_take(100)


def test_room_that_does_not_become_free_is_not_waited_for_for_ever():
    room = memory.Room(100, 0.01)
    with room.held(60) as keep:
        with pytest.raises(RequestError, match="hubserving_memory_limit") as refused:
            room.take(50)
        assert refused.value.http == 503
        keep(50)
        with room.held(50):
            assert not room.try_take(1)
    assert room.try_take(100)


def test_room_comes_back_when_a_request_fails():
    room = memory.Room(100, 1)
    with pytest.raises(ValueError, match="x"), room.held(100):
        raise ValueError("x")
    assert room.try_take(100)


def test_the_containers_limit_is_found(tmp_path):
    limit, other = tmp_path / "max", tmp_path / "other"
    limit.write_text("700000000\n")
    assert memory.container_bytes((str(other), str(limit))) == 700_000_000
    host = memory.container_bytes(())
    for none in ("max", str(2**63 - 4096)):
        limit.write_text(none)
        assert memory.container_bytes((str(limit),)) == host > 700_000_000


@pytest.mark.parametrize(
    ("megabytes", "cpus", "workers", "inferences"),
    [(700, 2, 1, 1), (1000, 2, 1, 2), (4000, 2, 1, 2), (4000, 64, 1, 22), (4000, 64, 4, 3),
     (300, 8, 1, 1), (100, 1, 2, 1)],
)  # fmt: skip
def test_inferences_fit_the_container(monkeypatch, megabytes, cpus, workers, inferences):
    monkeypatch.setattr(memory, "container_bytes", lambda: megabytes * 1_000_000)
    assert memory.inferences(cpus, workers) == inferences


def test_the_room_is_what_is_left(monkeypatch):
    monkeypatch.setattr(memory, "resident_bytes", lambda pid: 300_000_000)
    totals = []
    for limit in (100, 700, 1000, 4000):
        memory.forget_room()
        monkeypatch.setattr(memory, "container_bytes", lambda limit=limit: limit * 1_000_000)
        totals.append(memory.room(Settings(), 1, 2 if limit > 700 else 1).total // 1_000_000)
    memory.forget_room()
    assert totals == [64, 130, 280, 1940]


def test_a_request_waits_once_however_often_it_asks():
    room = memory.Room(100, 3600)
    room.take(100)
    for _ in range(3):
        with pytest.raises(RequestError, match="try again later"):
            room.take(1, until=time.monotonic())


def test_ten_thousand_values_are_taken_and_not_one_more():
    bodies.check(body([1] * bodies.MOST_VALUES, "utf-8"))
    with pytest.raises(bodies.BodyError, match="values"):
        bodies.check(body([1] * (bodies.MOST_VALUES + 1), "utf-8"))
