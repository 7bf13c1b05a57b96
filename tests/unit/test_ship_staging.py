"""What is removed from a host's staging folder, and what is not. Scripts run on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from role_code import load

from ppocr_control.errors import Refused
from ppocr_control.layers.image_archive import Image
from ppocr_control.shipping import staging
from ppocr_control.ssh.transport import Answer

IMAGE, OTHER = (
    Image(json.dumps({"rootfs": {"diff_ids": [f"sha256:{name}"]}}).encode()) for name in "ab"
)
LAYER, LATER = "0" * 64, "1" * 64


class ThisMachine:
    """A transport that runs scripts here; ``cut`` ends them before a command, as a kill would."""

    name = "web1"

    def __init__(self, folder: Path) -> None:
        self.bin = folder

    def run(self, script: str) -> Answer:
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-s"], input=script, capture_output=True, text=True, check=False, env=environment
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def put(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        raise AssertionError("nothing is sent")

    def cut(self, command: str) -> None:
        """Kill the shell where it would run a command."""
        self.bin.mkdir(exist_ok=True)
        path = self.bin / command
        path.write_text("#!/bin/sh\nkill -9 $PPID\n")
        path.chmod(0o755)

    def mend(self) -> None:
        shutil.rmtree(self.bin)


@pytest.fixture
def host(tmp_path: Path) -> ThisMachine:
    return ThisMachine(tmp_path / "bin")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An operator's folder: old and new files, links, names that look like the project's."""
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for place in (folder, elsewhere):
        for name in ("books", "0123456789abcdef", "relay", f"{'a' * 16}/{'b' * 64}", "with blank"):
            (place / name).mkdir(parents=True)
            (place / name / LAYER).write_text("the operator's")
    (folder / "link").symlink_to(elsewhere)
    (folder / "fedcba9876543210").symlink_to(elsewhere)
    (folder / LAYER).write_text("the operator's")
    age(folder)
    age(elsewhere)
    (folder / "new").mkdir()
    return folder


def age(folder: Path, hours: float = 48) -> None:
    """Make all in a folder look unused for as long."""
    then = time.time() - hours * 3600
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (then, then), follow_symlinks=False)


def listing(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*")}


def shipped(host: ThisMachine, named: Path, image: Image = IMAGE) -> Path:
    """The folder of an image with a layer in it."""
    staging.create(host, str(named), image, keep=[LAYER])
    place = Path(staging.folder(str(named), image))
    (place / LAYER).write_text("a layer")
    return place


def removed(host: ThisMachine, named: Path, image: Image = IMAGE, part: str = "") -> None:
    assert host.run(staging.removal(str(named), image, part)).status == 0


def test_nothing_of_the_operators_is_touched(host: ThisMachine, data: Path, tmp_path: Path) -> None:
    before = listing(data, tmp_path / "elsewhere")
    mode = data.stat().st_mode
    shipped(host, data)
    shipped(host, data, OTHER)
    for image in (IMAGE, OTHER):
        removed(host, data, image)
        removed(host, data, image, staging.RELAY)
    assert listing(data, tmp_path / "elsewhere") == before
    assert data.stat().st_mode == mode


@pytest.mark.parametrize("command", ["touch", "find", "rmdir", "rm", "ls", "stat"])
def test_a_kill_in_the_middle_leaves_what_the_next_run_knows(
    host: ThisMachine, data: Path, tmp_path: Path, command: str
) -> None:
    before = listing(data, tmp_path / "elsewhere")
    host.cut(command)
    host.run(staging.opening(str(data), IMAGE))
    host.mend()
    place = shipped(host, data)
    host.cut(command)
    host.run(staging.removal(str(data), IMAGE))
    host.mend()
    assert before <= listing(data, tmp_path / "elsewhere")
    if place.exists():
        age(place)
    removed(host, data, OTHER)
    shipped(host, data, OTHER)
    assert not place.exists()
    removed(host, data)
    removed(host, data, OTHER)
    assert listing(data, tmp_path / "elsewhere") == before


def test_what_an_earlier_failure_left_is_removed_after_an_hour(
    host: ThisMachine, tmp_path: Path
) -> None:
    place = shipped(host, tmp_path)
    served = Path(staging.folder(str(tmp_path), IMAGE, staging.RELAY))
    staging.create(host, str(tmp_path), IMAGE, staging.RELAY)
    (served / "pid").write_text("1")
    shipped(host, tmp_path, OTHER)
    assert (place / LAYER).exists() and (served / "pid").exists()  # somebody may be at it
    age(tmp_path)
    (served / LAYER).write_text("still used")
    shipped(host, tmp_path, OTHER)
    assert not place.exists() and (served / LAYER).exists()
    age(served)
    shipped(host, tmp_path, OTHER)
    assert not served.exists()


def test_layers_that_are_not_wanted_go_and_others_are_continued(
    host: ThisMachine, tmp_path: Path
) -> None:
    place = shipped(host, tmp_path)
    (place / LATER).write_text("of another codec")
    (place / "notes.txt").write_text("somebody put it there")
    staging.create(host, str(tmp_path), IMAGE, keep=[LAYER])
    assert {path.name for path in place.iterdir()} == {LAYER, staging.MARK, "notes.txt"}
    removed(host, tmp_path)
    assert {path.name for path in place.iterdir()} == {staging.MARK, "notes.txt"}


def test_the_folder_of_an_earlier_version_is_gone_on_with(
    host: ThisMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / staging.USERS.strip("/")
    monkeypatch.setattr(staging, "ROOTS", str(home))
    place = Path(staging.folder(str(home), IMAGE))
    place.mkdir(parents=True)
    (place / LAYER).write_text("half")
    strange = home / "0123456789abcdef"
    strange.mkdir()
    (strange / "x").write_text("not a layer")
    age(home)
    staging.create(host, str(home), IMAGE, keep=[LAYER])
    assert place.parent == home and (place / LAYER).read_text() == "half"
    assert (strange / "x").exists()


@pytest.mark.parametrize("what", ["own folder", "image's folder", "mark", "relay"])
def test_a_link_in_its_place_is_refused(
    host: ThisMachine, data: Path, tmp_path: Path, what: str
) -> None:
    victim = tmp_path / "elsewhere"
    before = listing(victim)
    place = Path(staging.folder(str(data), IMAGE))
    link = {
        "own folder": place.parent, "image's folder": place, "mark": place / staging.MARK,
        "relay": place.parent / staging.RELAY,
    }[what]  # fmt: skip
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim)
    part = staging.RELAY if what == "relay" else ""
    with pytest.raises(Refused, match=r"web1: .*choose another \(ppocr_image_staging_dir"):
        staging.create(host, str(data), IMAGE, part, keep=[])
    removed(host, data, IMAGE, part)
    if what in ("image's folder", "mark"):
        shipped(host, data, OTHER)
    assert link.is_symlink()
    assert listing(victim) == before


def test_what_is_not_the_projects_in_its_place_is_refused(host: ThisMachine, data: Path) -> None:
    place = Path(staging.folder(str(data), IMAGE))
    place.mkdir(parents=True)
    (place / "photo.jpg").write_text("the operator's")
    age(data)
    with pytest.raises(Refused, match="contains files that this project did not put there"):
        shipped(host, data)
    removed(host, data)
    shipped(host, data, OTHER)
    assert (place / "photo.jpg").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_somebody_elses_folder_is_refused(host: ThisMachine, data: Path) -> None:
    own = data / staging.NAME
    own.mkdir()
    os.chown(own, 12345, 12345)
    with pytest.raises(Refused, match="belongs to another user"):
        shipped(host, data)


@pytest.mark.parametrize(
    ("named", "own"),
    [
        ("/", "/ppocr-staging"),
        ("/data/", "/data/ppocr-staging"),
        ("/data/ppocr-staging", "/data/ppocr-staging/ppocr-staging"),
        ("/var/lib/ppocr/staging", "/var/lib/ppocr/staging"),
        ("/home/ops/.cache/ppocr/staging", "/home/ops/.cache/ppocr/staging"),
    ],
)
def test_the_own_folder_lies_below_the_one_that_was_named(named: str, own: str) -> None:
    assert staging.base(named) == own
    assert load("plugins/filter/ppocr_image.py").image_staging(named) == own


def test_no_folder_is_refused() -> None:
    with pytest.raises(Refused, match="--staging"):
        staging.base(" ")
