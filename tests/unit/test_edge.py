"""The edge: its filter and modules; tests/lab/test_updates.py runs them on a host."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from role_code import load

edge = load("plugins/filter/edge.py")
image = load("plugins/modules/edge_image.py")
runtime = load("plugins/modules/edge_runtime.py")

STAT = """# pxname,svname,scur,
slot-a,service,2,
slot-a,BACKEND,3,
slot-b,BACKEND,0,
"""


def line(name: str, label: str, state: str = "running") -> str:
    labels = f"org.opencontainers.image.version=1,org.ppocr.edge={label}"
    return json.dumps({"Names": name, "Image": "e:1", "Labels": labels, "State": state})


def test_edges_are_known_by_label_and_name() -> None:
    lines = [line("det-edge", "det"), line("rec-edge", "rec", "exited"), line("mine", "det")]
    assert edge.edge_containers(lines) == [
        {"name": "det-edge", "image": "e:1", "running": True},
        {"name": "rec-edge", "image": "e:1", "running": False},
    ]
    assert [found["name"] for found in edge.edge_containers(lines, ["rec"])] == ["rec-edge"]
    assert edge.edge_containers(lines, []) == []


def test_the_image_of_one_layer_names_it_and_does_not_hold_it() -> None:
    data = image.archive("sha256:" + "ab" * 32, "amd64", "ppocr-edge:x")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))
        config = json.load(tar.extractfile(manifest["Config"]))
        assert len(tar.getnames()) == 2
    assert config["rootfs"]["diff_ids"] == ["sha256:" + "ab" * 32]
    assert manifest["RepoTags"] == ["ppocr-edge:x"]


def test_a_slot_that_is_never_drained_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = runtime.Edge("ppocr-edge", "/nowhere")
    monkeypatch.setattr(told, "ask", lambda command: STAT)
    assert (told.requests_on("a"), told.requests_on("b")) == (3, 0)
    assert told.drain("a", 0) == 3
    assert told.drain("b", 30) == 0
