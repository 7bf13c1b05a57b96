"""Whether a second container fits beside the one that serves."""

from __future__ import annotations

import pytest
from role_code import load

room = load("plugins/filter/hubserving_room.py").hubserving_room
V1 = "cache 900000000\nrss 1\ntotal_rss 800000000\nMemAvailable:    {free} kB\n"
V2 = "anon 800000000\nfile 900000000\nMemAvailable:    {free} kB\n"


@pytest.mark.parametrize("stat", [V1, V2])
def test_the_hosts_memory(stat: str) -> None:
    assert room(stat.format(free=2_000_000)) == ""
    assert room(stat.format(free=700_000)) == (
        "the host has 683 MiB of memory left and the service uses 762 MiB"
    )


def test_each_card_it_sees() -> None:
    roomy = V2.format(free=2_000_000) + "gpu 0, 3100, 12900\n"
    assert room(roomy) == ""
    assert room(roomy + "gpu 1, 9000, 7000\n") == "GPU 1 has 7000 MiB left and 9000 MiB in use"


def test_what_cannot_be_read_holds_nothing_up() -> None:
    assert room("") == room("anon x\ngpu 0, [N/A], [N/A]\n") == ""
