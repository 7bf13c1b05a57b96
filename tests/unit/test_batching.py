"""How what requests ask a model is united in batches, and which session runs them."""

import importlib
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from ppocr_serving import report
from ppocr_serving.engines import EngineOptions
from ppocr_serving.engines.batcher import Batcher
from ppocr_serving.engines.buckets import Buckets, padded

from ppocr_contract.params import DetParams


def rows(count, width=4, value=0.0):
    return np.full((count, 3, 2, width), value, np.float32)


class Model:
    """Answers each row with its first value; notes the shapes it was called with."""

    def __init__(self, seconds=0.0):
        self.shapes, self.seconds, self.held = [], seconds, threading.Event()
        self.held.set()

    def __call__(self, batch):
        self.held.wait(10)
        time.sleep(self.seconds)
        self.shapes.append(batch.shape)
        return batch[:, 0, 0, :1]


def ask(batcher, *values, width=4):
    """In a request of its own: the answers to rows of these values."""
    with report.of_request():
        batch = np.concatenate([rows(1, width, value) for value in values])
        return batcher(batch)[:, 0].tolist()


def test_everyone_gets_their_own_rows():
    model = Model(0.001)
    batcher = Batcher(lambda: model, 16)
    wanted = [[n + part / 10 for part in range(n % 5 + 1)] for n in range(60)]
    with ThreadPoolExecutor(20) as pool:
        answers = pool.map(lambda values: ask(batcher, *values, width=4 + len(values) % 2), wanted)
        assert [np.round(answer, 3).tolist() for answer in answers] == wanted
    assert len(model.shapes) < 60  # united
    assert max(shape[0] for shape in model.shapes) <= 16


def test_what_waits_is_united_by_shape_and_not_beyond_the_largest_batch():
    model = Model()
    model.held.clear()
    batcher = Batcher(lambda: model, 8, wait=0)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(ask, batcher, 0)
        time.sleep(0.1)  # the first runs, all others wait
        wide = [pool.submit(ask, batcher, n, n, width=9) for n in range(5)]
        narrow = [pool.submit(ask, batcher, n) for n in range(3)]
        time.sleep(0.1)
        model.held.set()
        assert first.result() == [0]
        assert [one.result() for one in wide] == [[n, n] for n in range(5)]
        assert [one.result() for one in narrow] == [[n] for n in range(3)]
    assert sorted(shape[::3] for shape in model.shapes[1:]) == [(2, 9), (3, 4), (8, 9)]


def test_a_batch_that_is_not_full_waits_for_others_a_moment_only():
    model = Model()
    batcher = Batcher(lambda: model, 2, wait=0.3)
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda value: ask(batcher, value), (1, 2)))
    assert time.monotonic() - started < 0.25 and model.shapes == [(2, 3, 2, 4)]
    assert ask(batcher, 3) == [3]
    assert 0.25 < time.monotonic() - started < 2


def test_a_large_request_does_not_hold_up_a_small_one():
    model = Model(0.02)
    batcher = Batcher(lambda: model, 4)

    def many():
        with report.of_request(), ThreadPoolExecutor(1) as pool:  # 100 batches of its own
            return pool.submit(batcher, rows(400)).result()

    with ThreadPoolExecutor(2) as pool:
        large = pool.submit(many)
        time.sleep(0.2)
        for width in (4, 5, 6):
            started = time.monotonic()
            ask(batcher, 1, width=width)
            assert time.monotonic() - started < 0.4  # a second and a half is left of the large one
        assert not large.done()


def test_more_rows_than_a_batch_takes_come_back_in_order():
    model = Model()
    batcher = Batcher(lambda: model, 4)
    assert ask(batcher, *range(11)) == list(range(11))
    assert [shape[0] for shape in model.shapes] == [4, 4, 3]


def test_an_error_reaches_those_in_the_batch_and_nobody_else():
    def run(batch):
        if batch.max() > 9:
            raise RuntimeError("the card is lost")
        return batch[:, 0, 0, :1]

    batcher = Batcher(lambda: run, 1)
    with pytest.raises(RuntimeError, match="the card is lost"):
        ask(batcher, 10)
    assert ask(batcher, 1) == [1]


def test_a_model_is_loaded_on_the_thread_that_runs_it():
    threads = []

    def make():
        threads.append(threading.current_thread())
        return run

    def run(batch):
        threads.append(threading.current_thread())
        return batch[:, 0, 0, :1]

    batcher = Batcher(make, 1)
    ask(batcher, 1)
    assert threads[0] is threads[1] is not threading.current_thread()


def test_a_model_that_cannot_be_loaded_leaves_no_thread():
    def make():
        threads.append(threading.current_thread())
        raise RuntimeError("no such operator")

    threads = []
    with pytest.raises(RuntimeError, match="no such operator"):
        Batcher(make, 1)
    threads[0].join(5)
    assert not threads[0].is_alive()


class Sessions:
    """Makes sessions; notes how many, and fails when the card is full."""

    def __init__(self, room=99):
        self.made, self.room = [], room

    def __call__(self):
        if len(self.made) >= self.room:
            raise RuntimeError("CUDA failure 2: out of memory")
        self.made.append(Model())
        return self.made[-1]

    def ran(self):
        """Of each session, its calls."""
        return [session.shapes for session in self.made]


def buckets(sessions, most=2):
    return Buckets(sessions, most, 16, lambda error: "out of memory" in str(error))


@pytest.mark.parametrize(("count", "filled"), [(1, 1), (2, 2), (3, 4), (9, 16), (16, 16), (17, 17)])
def test_batches_are_filled_up_to_a_power_of_two(count, filled):
    assert padded(count, 16) == filled


def test_a_shape_gets_a_session_when_it_is_met_again_and_again():
    run = buckets(sessions := Sessions())
    for _ in range(4):
        assert run(rows(3, value=7)).tolist() == [[7], [7], [7]]
    shape = (4, 3, 2, 4)
    # The one for any shape; then one that was made ready with zeros.
    assert sessions.ran() == [[shape, shape], [shape, shape, shape]]


def test_a_smaller_batch_runs_in_a_session_that_is_there():
    run = buckets(sessions := Sessions())
    told = []
    run.warm([(4, 3, 2, 4), (16, 3, 2, 4), (16, 3, 2, 9)], lambda *counts: told.append(counts))
    assert told == [(1, 2), (2, 2)]  # as many as are kept
    assert run(rows(3, value=1)).tolist() == [[1], [1], [1]]
    assert len(run(rows(5))) == 5
    assert [len(calls) for calls in sessions.ran()] == [0, 2, 2]
    assert sessions.made[2].shapes[-1] == (16, 3, 2, 4)


def test_the_session_unused_for_longest_makes_room():
    run = buckets(sessions := Sessions())
    run.warm([(1, 3, 2, 4), (1, 3, 2, 5)], lambda *counts: None)
    run(rows(1, 4))
    for _ in range(3):
        run(rows(1, 6))
    before = len(sessions.made[0].shapes)
    run(rows(1, 4))
    assert len(sessions.made[0].shapes) == before  # 4 has its session still
    run(rows(1, 5))
    assert len(sessions.made[0].shapes) == before + 1


def test_a_full_card_keeps_what_it_has_and_goes_on(caplog):
    run = buckets(sessions := Sessions(room=2), most=5)
    told = []
    run.warm([(1, 3, 2, width) for width in (4, 5, 6)], lambda *counts: told.append(counts))
    assert told == [(1, 3)] and "no memory for more than 1 prepared shapes" in caplog.text
    for _ in range(4):
        assert run(rows(1, 5, 3)).tolist() == [[3]]
    assert len(sessions.made) == 2


def test_a_card_with_room_for_no_shape_is_not_asked_again(caplog):
    run = buckets(sessions := Sessions(room=1))
    for _ in range(9):
        assert run(rows(1, 5, 3)).tolist() == [[3]]
    assert len(sessions.made) == 1
    assert caplog.text.count("no memory for more than 0 prepared shapes") == 1


@pytest.mark.parametrize(
    ("total", "prepared"), [(24_000, 2), (4_000, 3)], ids=["a card", "a small card"]
)
def test_prepared_shapes_leave_memory_of_the_card(caplog, total, prepared):
    sessions, told = Sessions(), []

    def memory():  # 2,000 MB are free to begin with, and each session takes 400
        return (2_400 - 400 * len(sessions.made)) * 1_000_000, total * 1_000_000

    run = Buckets(sessions, 5, 16, memory=memory)
    shapes = [(1, 3, 2, width) for width in range(4, 9)]
    run.warm(shapes, lambda *counts: told.append(counts[0]))
    assert told == list(range(1, prepared + 1))
    assert f"no memory for more than {prepared} prepared shapes" in caplog.text


def test_another_error_is_told():
    def make():
        raise RuntimeError("no such operator")

    with pytest.raises(RuntimeError, match="no such operator"):
        buckets(make)


@pytest.fixture
def warmed(tmp_path, monkeypatch):
    """The shapes that a detector is made ready for, by the operator's parameters."""

    class Operator:
        def __init__(self, *args, **kwargs):
            pass

    importlib.import_module("ppocr_serving.pipeline")  # which looks for rapidocr
    operators = SimpleNamespace(DBPostProcess=Operator, DetPreProcess=Operator)
    for name in ("rapidocr", "rapidocr.ch_ppocr_det", "rapidocr.ch_ppocr_det.utils"):
        monkeypatch.setitem(sys.modules, name, operators)
    name = "ppocr_serving.pipeline.detector"
    monkeypatch.setitem(sys.modules, name, None)
    del sys.modules[name]  # it is taken out again after the test
    detector = importlib.import_module(name)
    asked = []

    def load(model_dir, options):
        asked.append(options)
        return SimpleNamespace(device="gpu:0")

    monkeypatch.setattr(detector, "load_predictor", load)
    file = tmp_path / "params.json"
    monkeypatch.setenv("PPOCR_PARAMS", str(file))

    def warmed(**params):
        file.write_text(json.dumps(params))
        # Without what requests may set, as the runtime loads it.
        detector.Detector(DetParams(), EngineOptions(engine="onnxruntime"))
        return asked[-1].warm

    return warmed


def test_a_detector_is_made_ready_for_pages_as_the_operator_limits_them(warmed):
    assert (1, 3, 960, 672) in warmed()
    assert {max(shape) for shape in warmed(det_limit_side_len=1280)} == {1280}
    assert warmed(det_limit_type="min") == ()  # pages are as large as they come
