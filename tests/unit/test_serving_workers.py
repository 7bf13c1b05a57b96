"""When workers count as ready; with real processes, through HTTP: tests/service."""

import subprocess
import sys
from unittest.mock import MagicMock

import pytest
from ppocr_serving.server import workers
from ppocr_serving.server.worker_registry import WorkerRegistry
from ppocr_serving.server.worker_slots import WorkerSlots

from ppocr_contract.settings import Settings


@pytest.fixture
def pids():
    """Two processes that live."""
    started = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) for _ in range(2)]
    yield [process.pid for process in started]
    for process in started:
        process.communicate()


@pytest.mark.parametrize(("device", "first"), [("cpu", 1), ("gpu:0", 0)])
def test_cards_begin_together_and_a_cpu_serves_with_the_workers_it_has(
    tmp_path, monkeypatch, pids, device, first
):
    monkeypatch.setattr(workers, "SERVED", tmp_path / "served")
    monkeypatch.setattr(workers, "WorkerRegistry", lambda: registry)
    registry = WorkerRegistry(tmp_path / "workers")
    registry.clear()
    metrics = MagicMock()  # the image alone has the library
    seen = workers.Workers(Settings(workers=2), metrics, WorkerSlots(2))
    for slot, (pid, ready) in enumerate(zip(pids, [first, 2], strict=True)):
        registry.enter(pid, slot, {"ocr_system": device, "own": ""})
        seen.look()
        assert seen.ready == ready
    registry.leave(pids[0])
    seen.look()
    assert seen.ready == 1  # what has served goes on with the workers it has
