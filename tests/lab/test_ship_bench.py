"""The bench of sending images in its short form: bytes and disk have to hold on any machine.

Run with --full. What it measures together, tests bound one by one: bytes in test_ship.py,
test_ship_relay.py and test_ship_committed.py, room in test_ship.py.
"""

from __future__ import annotations

import pytest

from tests.bench import ship as bench

pytestmark = pytest.mark.full

# Times depend on what else this machine does; they are printed beside the others.
STEADY = ("bytes", "peak extra disk")


def test_bytes_and_disk_stay_within_their_targets() -> None:
    figures = bench.main(["--short"])
    missed = {
        name: value
        for name, value in figures.items()
        if name.startswith(STEADY) and value > bench.TARGETS[name]
    }
    assert not missed
    assert len(figures) == len(bench.TARGETS)
