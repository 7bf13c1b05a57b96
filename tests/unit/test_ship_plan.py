"""What is planned for a host, and which strategy follows which."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from jobs import job

from ppocr_control.errors import Error, LinkLost, Refused
from ppocr_control.layers.image_archive import Image
from ppocr_control.layers.store import Blob, LayerStore, hexdigest
from ppocr_control.shipping.delivery import deliver
from ppocr_control.shipping.job import Job
from ppocr_control.shipping.plan import Plan, plan
from ppocr_control.shipping.registry import Pushed
from ppocr_control.shipping.relay import Session
from ppocr_control.shipping.state import HostState
from ppocr_control.shipping.strategies import strategies_for
from ppocr_control.shipping.strategy import Delivery, Strategy
from ppocr_control.ssh import retry
from ppocr_control.ssh.transport import Answer

LAYERS = {f"sha256:{name * 64}": name.encode() * 100_000 for name in "ab"}
BASE, TOP = LAYERS
CONFIG = {"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [BASE, TOP]}}
IMAGE = Image(json.dumps(CONFIG).encode(), ("a:1",))


def state(
    *images: list[str], staged: dict[str, int] | None = None, arch: str = "amd64"
) -> HostState:
    """A host whose images have these layers."""
    held = tuple(
        {"id": f"sha256:{number}", "layers": layers, "tags": [], "created": "", "labels": None}
        for number, layers in enumerate(images)
    )
    return HostState("26.1", arch, "classic", held, frozenset(), staged or {}, ("/ 9000", "/ 9000"))


def there() -> HostState:
    return state().with_images(f'image\t{{"id":"{IMAGE.id}","layers":[],"tags":[]}}')


class Stocked(LayerStore):
    """A store that has layers of these diff IDs, as far as a plan looks."""

    def __init__(self, folder: Path, *held: str) -> None:
        super().__init__(folder)
        self.held = held

    def blob(self, diff_id: str, codec: str | None = None) -> Blob | None:
        if diff_id not in self.held:
            return None
        return Blob(diff_id, "gzip", f"sha256:{diff_id[-1] * 60}0000", 1_000_000, 5_000_000)


@pytest.fixture
def work(tmp_path: Path) -> Job:
    return job(IMAGE, Stocked(tmp_path, BASE, TOP))


def texts(made: Plan) -> list[str]:
    return [step.text for step in made.steps]


def test_a_host_that_has_it_needs_nothing(work: Job) -> None:
    made = plan("web1", there(), work, strategies_for(work))
    assert made.summary() == "web1: has it already; nothing to send"


def test_a_host_gets_the_layers_it_lacks(work: Job) -> None:
    made = plan("web1", state([BASE]), work, strategies_for(work))
    assert texts(made) == ["send 1.0 MB", "load 1 of 2 layers", "compare it, and name it a:1"]
    assert (made.steps[0].layers, made.steps[0].size) == ((TOP,), 1_000_000)
    assert made.otherwise == ("whole",)


def test_what_waits_there_from_an_earlier_try_is_not_sent(work: Job) -> None:
    name = f"{hexdigest(IMAGE.id)[:16]}/{'a' * 60}0000"
    made = plan("web1", state(staged={name: 400_000}), work, strategies_for(work))
    assert texts(made)[0] == "send 1.6 MB; 0.4 MB are on the host from an earlier try"


def test_what_is_not_compressed_has_no_size_yet(tmp_path: Path) -> None:
    work = job(IMAGE, Stocked(tmp_path, TOP))
    made = plan("web1", state(), work, strategies_for(work))
    assert texts(made)[:2] == ["compress 1 layers on this machine", "send their compressed size"]
    assert made.steps[1].size is None


def test_a_large_layer_is_compared_with_the_image_before(
    work: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ppocr_control.shipping.file_delta.SMALLEST", 1000)
    old = {"id": "sha256:old", "layers": [BASE, "sha256:c"], "tags": ["a:0"], "created": "then"}
    host = replace(state(), images=(old,), files_root="/var/lib/docker")
    made = plan("web1", host, work, strategies_for(work))
    assert texts(made)[0] == "compare 1 large layers with a:0 on the host"
    roomless = replace(work, little_room=True)
    assert texts(plan("web1", host, roomless, strategies_for(roomless)))[0] == "send 1.0 MB"


def test_each_mode_has_its_ways(work: Job) -> None:
    pushed, session = Pushed("r:5000/a@sha256:0", {}), Session("far1", 1)

    def names(mode: str, **more: object) -> list[str]:
        return [strategy.name for strategy in strategies_for(replace(work, mode=mode), **more)]  # type: ignore[arg-type]

    assert names("auto") == names("delta") == ["rebuild", "delta", "whole"]
    assert names("whole") == ["whole"]
    assert names("whole", session=session) == ["relay", "whole"]
    assert names("auto", session=session) == ["relay", "rebuild", "delta", "whole"]
    assert names("auto", pushed=pushed) == ["registry", "rebuild", "delta", "whole"]
    assert names("registry", pushed=pushed) == ["registry"]
    made = plan("web1", state(), work, strategies_for(work, pushed))
    assert texts(made)[0] == "pull r:5000/a@sha256:0"


def test_an_image_for_other_processors_is_refused(work: Job) -> None:
    with pytest.raises(Refused, match="for amd64, the host is arm64"):
        plan("web1", state(arch="arm64"), work, strategies_for(work))


class Bare:
    """A host without images, whose engine takes every name."""

    name = "web1"

    def __init__(self) -> None:
        self.looked = 0

    def run(self, script: str) -> Answer:
        if "docker info" not in script:
            return Answer(0, "", "")
        self.looked += 1
        info = json.dumps({"Architecture": "x86_64", "Driver": "overlay2"})
        return Answer(0, f"version\t26.1.5\ninfo\t{info}\ndf\t/ 1\ndf\t/ 1\n", "")

    def put(self, blocks: object, path: str, offset: int) -> None:
        raise AssertionError("nothing is sent")


class Way(Strategy):
    """A strategy with given outcomes, one for each call."""

    def __init__(self, name: str, *ends: str | Exception | None) -> None:
        self.name, self._ends = name, list(ends)
        self.instead, self.reason = f"after {name}", f"not {name}"
        self.runs, self.finished = 0, 0

    def run(self, delivery: Delivery) -> str | None:
        self.runs += 1
        end = self._ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    def finish(self, delivery: Delivery) -> None:
        self.finished += 1


def test_the_next_way_is_tried_where_one_fails(work: Job) -> None:
    first, second, third = Way("a", Error("broken")), Way("b", None), Way("c", "sha256:it")
    host = Bare()
    done = deliver(work, host, [first, second, third])
    assert (done.image_id, done.notes, done.changed) == ("sha256:it", ["not a: broken"], True)
    assert (first.finished, second.finished, third.finished) == (0, 1, 1)
    assert host.looked == 2  # what failed may have changed something there


def test_a_refusal_ends_it(work: Job) -> None:
    last = Way("b", "sha256:it")
    with pytest.raises(Refused, match="no room"):
        deliver(work, Bare(), [Way("a", Refused("no room")), last])
    assert last.runs == 0


def test_the_last_ways_error_is_the_hosts(work: Job) -> None:
    with pytest.raises(Error, match="also broken"):
        deliver(work, Bare(), [Way("a", Error("broken")), Way("b", Error("also broken"))])


def test_a_lost_link_goes_on_with_the_ways_that_are_left(
    work: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_PAUSE", 0)
    failed, lost = Way("a", Error("broken")), Way("b", LinkLost("gone"), "sha256:it")
    done = deliver(work, Bare(), [failed, lost])
    assert (failed.runs, lost.runs, done.image_id) == (1, 2, "sha256:it")
