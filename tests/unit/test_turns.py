"""Whose work is next on the inference threads."""

import threading

import pytest
from ppocr_serving import report, turns
from ppocr_serving.threads import Threads
from ppocr_serving.turns import Turns


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only a test moves."""
    now = [100.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    return now


def add(order, owner, large, *pieces):
    for piece in pieces:
        order.add(owner, large, piece)


def taken(order, count):
    return [order.take()[0] for _ in range(count)]


def test_requests_take_turns(clock):
    order = Turns(9)
    add(order, "a", False, "a1", "a2", "a3")
    add(order, "b", False, "b1")
    add(order, "c", False, "c1", "c2")
    assert taken(order, 6) == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert order.take() is None


def test_large_requests_have_all_threads_when_alone(clock):
    order = Turns(3)
    add(order, "a", True, "a1", "a2")
    add(order, "b", True, "b1", "b2")
    assert taken(order, 3) == ["a1", "b1", "a2"]


def test_half_of_the_threads_beside_small_ones(clock):
    order = Turns(3)
    add(order, "large", True, *range(9))
    add(order, "small", False, "s1", "s2")
    assert taken(order, 3) == ["s1", "s2", 0]
    order.done(False, 0.1)
    order.done(False, 0.1)
    assert order.take() is None  # small ones are expected to go on
    clock[0] += 2
    assert taken(order, 2) == [1, 2]


def test_on_one_thread_each_side_has_half_of_the_time(clock):
    order = Turns(1)
    add(order, "large", True, *["large"] * 50)
    add(order, "small", False, *["small"] * 500)
    spent = {True: 0.0, False: 0.0}
    for _ in range(200):
        _, large = order.take()
        seconds = 1.0 if large else 0.1
        spent[large] += seconds
        order.done(large, seconds)
    assert abs(spent[True] - spent[False]) < 2.5


def test_neither_side_waits_for_ever_after_it_had_all(clock):
    for first in (True, False):
        order = Turns(1)
        add(order, "first", first, *["first"] * 100)
        for _ in range(60):
            order.take()
            order.done(first, 1.0)
        add(order, "other", not first, *["other"] * 9)
        waited = 0
        while order.take()[0] != "other":
            order.done(first, 1.0)
            waited += 1
        assert waited <= 1


def test_a_small_request_passes_a_large_one_by():
    threads, gate, begun = Threads(1), threading.Event(), threading.Event()
    order = []

    def hold():
        begun.set()
        gate.wait(30)

    def request(large, names):
        with report.of_request() as current:
            current.large = large
            return [threads.start(order.append, name) for name in names]

    with report.of_request() as current:
        current.large = True
        first = threads.start(hold)
    begun.wait(30)
    futures = request(True, ["l1", "l2", "l3"]) + request(False, ["s1"])
    gate.set()
    for future in [first, *futures]:
        future.result(30)
    assert order.index("s1") < order.index("l2")


def test_an_error_reaches_who_asked_and_the_thread_goes_on():
    threads = Threads(1)
    with pytest.raises(ZeroDivisionError):
        threads.run(lambda: 1 / 0)
    assert threads.map(abs, [-1, 2]) == [1, 2]
