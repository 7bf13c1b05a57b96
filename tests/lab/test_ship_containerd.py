"""Sending to hosts that have containerd without Docker, as nodes of Kubernetes do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import parcel
import pytest
from hostlab import Host, HostSpec, Playbooks
from parcel import Shipper, staged

ONE, TWO = "parcel:c1", "parcel:c2"
CTR = "ctr --namespace k8s.io"
#: Room for its images: in memory, as overlayfs does not stack on itself.
DISKS = {"/var/lib/containerd": 300}
INSTALL = """
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -yqq --no-install-recommends install containerd
systemctl is-active containerd
"""
#: Fails once on an archive without all layers, as a containerd would that does not take it.
REFUSING = """#!/bin/sh
case "$*" in *"images import"*-) [ -e /run/refused ] || {
  touch /run/refused; cat >/dev/null; echo "content digest: not found" >&2; exit 1; } ;;
esac
exec /usr/bin/ctr "$@"
"""


@pytest.fixture(scope="module")
def node(lab) -> Host:
    host: Host = lab.host(HostSpec("node1", engine="none", disks=DISKS))
    host.run(INSTALL)
    return host


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    with parcel.two_versions(ONE, TWO, seed=61):
        yield


@pytest.fixture
def ship(tmp_path: Path, node: Host) -> Iterator[Shipper]:
    yield Shipper(tmp_path, [node])
    node.run(f"{CTR} images ls --quiet | xargs -r {CTR} images rm --sync")
    assert node.run(f"{CTR} content ls --quiet").stdout == ""


def whole(host: Host) -> dict[str, str]:
    """Names of images that containerd has all of, unpacked, with the digests of their manifests."""
    rows = [line.split() for line in host.run(f"{CTR} images check").stdout.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if "complete" in row and row[-1] == "true"}


def config_of(host: Host, name: str) -> str:
    """The ID of an image's configuration: what Docker here calls the image's ID."""
    manifest = json.loads(host.run(f"{CTR} content get {whole(host)[name]}").stdout)
    return str(manifest["config"]["digest"])


def here(name: str) -> str:
    return parcel.docker.from_env().images.get(name).id


def test_sends_what_containerd_lacks_and_nothing_twice(node: Host, ship: Shipper) -> None:
    first = ship(ONE, "node1", "--ctr", CTR)["node1"]
    assert first["changed"] and first["blobs"] == 3 and first["sent"] > 7_000_000
    assert config_of(node, f"docker.io/library/{ONE}") == here(ONE)
    second = ship(TWO, "node1", "--ctr", CTR)["node1"]
    assert second["blobs"] == 1 and second["sent"] < 2000 and second["mode"] == "delta", second
    assert config_of(node, f"docker.io/library/{TWO}") == here(TWO)
    assert not any("ppocr.import" in name for name in whole(node))
    assert staged(node) == 0
    third = ship(TWO, "node1", "--ctr", CTR)["node1"]
    assert not third["changed"] and third["sent"] == 0


@pytest.mark.full
def test_a_refused_difference_is_followed_by_the_whole(node: Host, ship: Shipper) -> None:
    ship(ONE, "node1", "--ctr", CTR)
    node.put("/usr/local/bin/ctr", REFUSING, "0755")
    try:
        row = ship(TWO, "node1", "--ctr", CTR)["node1"]
    finally:
        node.run("rm -f /usr/local/bin/ctr /run/refused")
    assert row["mode"] == "whole" and "not found" in row["notes"][-1]
    assert config_of(node, f"docker.io/library/{TWO}") == here(TWO)


@pytest.mark.full
def test_an_image_that_is_not_unpacked_is_sent_again(node: Host, ship: Shipper) -> None:
    ship(ONE, "node1", "--ctr", CTR)
    snapshots = f"{CTR} snapshots ls | tail -n +2 | cut -d' ' -f1"
    for _ in parcel.layers(None, ONE):  # one has to go after those on top of it
        node.run(f"{snapshots} | xargs -r -n 1 {CTR} snapshots rm", check=False)
    assert whole(node) == {}
    row = ship(ONE, "node1", "--ctr", CTR)["node1"]
    assert row["changed"] and row["sent"] == 0  # its layers are there, packed
    assert config_of(node, f"docker.io/library/{ONE}") == here(ONE)


def test_a_command_that_is_none_is_named(ship: Shipper) -> None:
    row = ship(ONE, "node1", "--ctr", "no-ctr", status=3)["node1"]
    assert "containerd does not answer to no-ctr" in row["error"]
    assert "ppocr_image_ctr (--ctr)" in row["error"]


@pytest.mark.full
def test_ship_yml_brings_the_image_once(node: Host, playbook: Playbooks, ship: Shipper) -> None:
    wanted = {
        "ppocr_image_source": "ship", "ppocr_image_name": "parcel", "ppocr_image_tag": "c1",
        "ppocr_image_store_dir": str(ship.store), "ppocr_image_ctr": CTR,
    }  # fmt: skip
    run = playbook("ship", [node], extra_vars=wanted, check=True)
    assert "parcel:c1 would be sent to node1" in run.stdout
    playbook("ship", [node], extra_vars=wanted)
    assert config_of(node, f"docker.io/library/{ONE}") == here(ONE)
    playbook("ship", [node], extra_vars=wanted).assert_unchanged()
