"""The edge: its filter and modules; tests/lab/test_updates.py runs them on a host."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from role_code import load

from ppocr_hosts import edge as edge_control
from ppocr_hosts import edge_before
from ppocr_hosts.edge import Edge, RuntimeFault
from ppocr_hosts.edge_before import FILES, Before

edge = load("plugins/filter/edge.py")
image = load("plugins/modules/edge_image.py")

STAT = """# pxname,svname,scur,
slot-a,service,2,
slot-a,BACKEND,3,
slot-a-now,BACKEND,1,
slot-b,BACKEND,0,
"""


def line(name: str, label: str, state: str = "running") -> str:
    labels = f"org.opencontainers.image.version=1,org.ppocr.edge={label}"
    row = {"Names": name, "Image": "e:1", "Networks": "ppocr", "Labels": labels, "State": state}
    return json.dumps(row)


def test_edges_are_known_by_label_and_name() -> None:
    lines = [line("det-edge", "det"), line("rec-edge", "rec", "exited"), line("mine", "det")]
    lines.append(line("rec-edge-previous", "rec", "exited"))
    assert edge.edge_containers(lines) == [
        {"name": "det-edge", "image": "e:1", "network": "ppocr", "running": True, "aside": False},
        {"name": "rec-edge", "image": "e:1", "network": "ppocr", "running": False, "aside": False},
        {
            "name": "rec-edge-previous",
            "image": "e:1",
            "network": "ppocr",
            "running": False,
            "aside": True,
        },
    ]
    assert [found["name"] for found in edge.edge_containers(lines, ["det"])] == ["det-edge"]
    assert edge.edge_containers(lines, []) == []


def test_names_are_compared_as_haproxy_has_them() -> None:
    given = ["OCR.Example.com", "ocr.example.", "192.0.2.7", "2001:DB8::7", "[::1]"]
    wanted = ["ocr.example.com", "ocr.example", "192.0.2.7", "[2001:db8::7]", "[::1]"]
    assert [edge.edge_host(name) for name in given] == wanted


def test_the_image_of_one_layer_names_it_and_does_not_hold_it() -> None:
    data = image.archive("sha256:" + "ab" * 32, "amd64", "ppocr-edge:x")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))
        config = json.load(tar.extractfile(manifest["Config"]))
        assert len(tar.getnames()) == 2
    assert config["rootfs"]["diff_ids"] == ["sha256:" + "ab" * 32]
    assert manifest["RepoTags"] == ["ppocr-edge:x"]


def test_a_slot_that_is_never_drained_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Edge("ppocr-edge", "/nowhere")
    monkeypatch.setattr(told, "ask", lambda command: STAT)
    assert (told.requests_on("a"), told.requests_on("b")) == (4, 0)
    assert told.drain("a", 0) == 4
    assert told.drain("b", 30) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*FILES, "candidate.map"):
        (tmp_path / name).write_text("former")
    return tmp_path


def renew(file: Path) -> None:
    """Write a file as Ansible does: under another name first."""
    new = file.with_suffix(".new")
    new.write_text("latter")
    new.replace(file)


def test_files_are_put_back_or_stay(folder: Path) -> None:
    before = Before(Edge("no-such-edge", folder))
    listing = sorted(folder.iterdir())
    assert before.keep()
    renew(folder / "networks.lst")
    assert before.keep() and before.restore()  # what was kept first is what counts
    assert {(folder / name).read_text() for name in FILES} == {"former"}
    assert not before.restore() and sorted(folder.iterdir()) == listing
    assert before.keep() and not before.restore()
    assert before.keep()
    renew(folder / "networks.lst")
    assert not before.forget() and (folder / "networks.lst").read_text() == "latter"
    assert sorted(folder.iterdir()) == listing


def test_an_edge_without_its_files_has_nothing_to_keep(folder: Path) -> None:
    (folder / "haproxy.cfg").unlink()
    before = Before(Edge("no-such-edge", folder))
    assert not before.keep() and not before.restore()


class Engine:
    """Containers by name with their state, and the commands that changed them."""

    def __init__(self, containers: dict[str, str], broken: str = "") -> None:
        self.containers, self.broken, self.done = containers, broken, []

    def __call__(self, verb: str, *rest: str, **options: bytes) -> str:
        name = rest[-1]
        if verb == "container":
            if name not in self.containers:
                raise RuntimeFault("No such container")
            return self.containers[name]
        if verb == "exec":
            return "Name: HAProxy\nPid: 1\n" if options["input"] == b"show info\n" else ""
        self.done.append(" ".join([verb, *rest]))
        if verb == "rename":
            self.containers[name] = self.containers.pop(rest[0])
        elif verb == "rm":
            del self.containers[name]
        elif verb == "start" and name == self.broken:
            raise RuntimeFault("docker start: port is already allocated")
        else:
            self.containers[name] = {"start": "running", "stop": "exited"}[verb]
        return ""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Engine]:
    def engine(*arguments, **options) -> Engine:
        made = Engine(*arguments, **options)
        for module in (edge_control, edge_before):
            monkeypatch.setattr(module, "docker", made)
        return made

    return engine


def test_the_port_is_closed_between_a_stop_and_a_start_alone(engine, folder: Path) -> None:
    there = engine({"e": "running"})
    before = Before(Edge("e", folder))
    before.keep()
    before.set_aside()
    assert there.containers == {"e-previous": "running"}
    there.containers["e"] = "created"
    there.done.clear()
    before.exchange()
    assert there.done == ["stop e-previous", "start e"]
    assert before.forget() and there.containers == {"e": "running"}


def test_a_container_without_an_edge_is_stopped_once_the_edge_exists(engine, folder: Path) -> None:
    there = engine({"service": "running", "e": "created"})
    before = Before(Edge("e", folder))
    before.exchange("service")
    assert there.done == ["stop service", "start e"]


def test_an_edge_that_never_had_the_port_is_not_started(engine, folder: Path) -> None:
    """A run was killed before the container that has the port was stopped."""
    there = engine({"service": "running", "e": "created"}, broken="e")
    before = Before(Edge("e", folder))
    before.keep()
    before.restore()
    assert there.containers == {"service": "running"}


def test_an_edge_that_does_not_start_leaves_the_port_to_the_one_before(engine, folder) -> None:
    there = engine({"e-previous": "running", "e": "created"}, broken="e")
    before = Before(Edge("e", folder))
    before.keep()
    with pytest.raises(RuntimeFault, match="port is already allocated"):
        before.exchange()
    assert there.containers == {"e-previous": "running"}
    assert before.restore() and there.containers == {"e": "running"}


def test_what_a_killed_run_left_is_put_back(engine, folder: Path) -> None:
    for left in ("running", "exited"):  # killed before the exchange, and in it
        there = engine({"e-previous": left, "e": "created"})
        before = Before(Edge("e", folder))
        before.keep()
        assert before.restore() and there.containers == {"e": "running"}
