"""Bounds of a worker: values of a body, and memory for pictures."""

import json
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ppocr_serving import memory
from ppocr_serving.report import RequestError
from ppocr_serving.server import bodies

from ppocr_contract.settings import Settings

MANY = bodies.MOST_VALUES + 1


def body(value, encoding="utf-8"):
    return json.dumps(value).encode(encoding)


def check(data, step=None):
    """Look at a body, whole or in parts of so many bytes."""
    structure = bodies.Structure()
    for start in range(0, len(data), step or len(data) or 1):
        structure.feed(data[start : start + (step or len(data))])


@pytest.mark.parametrize("step", [5, 64_000, None])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_requests_pass_in_every_encoding(encoding, step):
    picture = 'x,[{"\\' * (50_000 if step != 5 else 500)  # whatever a string holds, it is one value
    order = {"data": picture, "pages": "1-3,7", "dpi": 200, "pictures": True}
    pictures = 32 if step != 5 else 1
    check(body({"images": [picture] * pictures, "pdfs": [order] * pictures}, encoding), step)
    with pytest.raises(bodies.BodyError, match="values"):
        check(body({"images": [[]] * MANY}, encoding), step)


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
            check(text.encode())


def test_depth():
    check(b"[" * 64 + b"]" * 64)
    check(b'["' + b"[" * 5000 + b'"]')
    for text in (b"[" * 65, b'{"a":' * 65, b"[[]," * 3 + b"[" * 63):
        with pytest.raises(bodies.BodyError, match="deep"):
            check(text)


def test_what_is_no_json_is_left_to_the_parser():
    for text in (b"", b"{", b"\xff\xfe\x00", b'"\\', b"{]", b" " * 99, b"\xff" * 99):
        check(text)
    with pytest.raises(bodies.BodyError, match="closes more"):
        check(b"]" * 99)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.floats()
        | st.text(st.sampled_from('a"\\,[{}]:é😀'), max_size=9),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    ),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be"]),
    st.integers(1, 30),
    st.booleans(),
)
def test_parts_count_as_the_whole_does(value, encoding, step, ascii_only):
    data = json.dumps([value], ensure_ascii=ascii_only).encode(encoding)
    whole, parts = bodies.Structure(), bodies.Structure()
    whole.feed(data)
    for start in range(0, len(data), step):
        parts.feed(data[start : start + step])
    assert not whole._depth and not whole._in_string
    if len(data) >= 4:
        assert vars(whole) | {"_decoder": 0} == vars(parts) | {"_decoder": 0}


def waiting(room, size, order):
    """A thread that waits for room; it notes when it has it, and gives it back."""

    def ask():
        with room.held(size):
            order.append(size)

    before = sum(map(len, room._waiting.values()))
    thread = threading.Thread(target=ask)
    thread.start()
    while sum(map(len, room._waiting.values())) == before:
        pass
    return thread


def test_room_is_given_in_the_order_it_is_asked_for():
    room, order = memory.Room(800, 30), []
    assert room.total == 700 and room.is_large(26) and not room.is_large(25)
    room.take(600)
    threads = [waiting(room, 500, order)]
    assert not room.try_take(50)  # there is room, but another has waited longer
    threads.append(waiting(room, 50, order))
    assert order == []
    room.give_back(600)
    for thread in threads:
        thread.join(30)
    assert order == [500, 50] and room.try_take(700)


def test_the_small_do_not_wait_behind_the_large():
    room, order = memory.Room(800, 30), []
    room.take(700)
    large = waiting(room, 300, order)
    for _ in range(4):
        room.take(25)
    assert not room.try_take(1)  # their reserve has an end too
    small = waiting(room, 20, order)
    room.give_back(25)
    small.join(30)
    assert order == [20]
    room.give_back(700)
    large.join(30)
    assert order == [20, 300]


def test_room_that_does_not_become_free_is_not_waited_for_for_ever():
    room = memory.Room(800, 0.01)
    with room.held(500) as keep:
        with pytest.raises(RequestError, match="hubserving_memory_limit") as refused:
            room.take(300)
        assert refused.value.http == 503
        keep(400)
        with room.held(300):
            assert not room.try_take(26)
    assert room.try_take(700)


def test_room_comes_back_when_a_request_fails():
    room = memory.Room(800, 1)
    with pytest.raises(ValueError, match="x"), room.held(700):
        raise ValueError("x")
    assert room.try_take(700)


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


def test_what_is_loaded_beside_takes_memory_of_inferences(monkeypatch):
    monkeypatch.setattr(memory, "container_bytes", lambda: 1_000_000_000)
    assert (memory.inferences(2, 1), memory.inferences(2, 1, 90)) == (2, 1)


def test_the_room_is_what_is_left(monkeypatch):
    monkeypatch.setattr(memory, "resident_bytes", lambda pid: 300_000_000)
    totals = []
    for limit in (100, 700, 1000, 4000):
        memory.forget_room()
        monkeypatch.setattr(memory, "container_bytes", lambda limit=limit: limit * 1_000_000)
        totals.append(memory.room(Settings(), 1, 2 if limit > 700 else 1).total // 1_000_000)
    memory.forget_room()
    assert totals == [70, 113, 245, 1697]


def test_a_request_waits_once_however_often_it_asks():
    room = memory.Room(800, 3600)
    room.take(700)
    for _ in range(3):
        with pytest.raises(RequestError, match="try again later"):
            room.take(100, until=time.monotonic())


def test_ten_thousand_values_are_taken_and_not_one_more():
    check(body([1] * bodies.MOST_VALUES, "utf-8"))
    with pytest.raises(bodies.BodyError, match="values"):
        check(body([1] * (bodies.MOST_VALUES + 1), "utf-8"))
