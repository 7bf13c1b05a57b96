"""The parts of tests/gpu that need no service."""

import itertools
import time

from tests.gpu import measure


def test_what_is_said_of_answers():
    seconds = [n / 1000 for n in range(1, 101)]
    assert measure.summary(seconds, 10, 2) == {
        "img/s": 10.0, "p50 ms": 51, "p95 ms": 96, "errors": 2,
    }  # fmt: skip
    assert measure.summary([], 1, 9) == {"img/s": 0.0, "p50 ms": 0, "p95 ms": 0, "errors": 9}


class Service:
    """Answers as told."""

    def __init__(self, url="", fails=False):
        self._counter, self._fails = itertools.count(1), fails

    def ready(self, seconds):
        return {"ready": True}

    def lines(self, picture):
        time.sleep(0.005)
        if self._fails and next(self._counter) % 2:
            raise OSError("refused")
        return ["something else"]


def test_clients_post_side_by_side_and_errors_are_counted():
    found = measure.load(Service(fails=True), b"", clients=4, seconds=0.5)
    assert found["img/s"] > 1 and found["errors"] > 1 and found["p50 ms"] >= 5


def test_it_names_samples_that_are_misread_and_keeps_to_its_time(monkeypatch, capsys):
    monkeypatch.setattr(measure, "Service", Service)
    assert measure.main(["--seconds=0.3", "--limit=0.9"]) == 1
    printed = capsys.readouterr().out
    assert "'chinese.png': ['something else']" in printed
    assert "1 clients: {'img/s'" in printed
    assert "16 clients: left out, 1 s are over" in printed
