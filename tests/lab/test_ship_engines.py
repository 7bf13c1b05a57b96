"""Sending to engines that keep images in containerd's store, and engines that refuse."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import parcel
import pytest
from hostlab import Host, HostSpec
from parcel import Shipper, image_id, staged

ONE, TWO = "parcel:e1", "parcel:e2"
DAEMON_JSON = json.dumps({"features": {"containerd-snapshotter": True}})
# Fails once, in the words of an engine that does not know a layer after all.
REFUSING = """#!/bin/sh
if [ "$1" = load ] && [ ! -e /run/refused ]; then
  touch /run/refused; cat >/dev/null; echo "layer not found" >&2; exit 1
fi
exec /usr/bin/docker "$@"
"""


# From the distribution's testing suite, whose systemd does not start on every kernel of the lab.
NEWEST = """
cd /etc/apt && sed 's/trixie/testing/g' sources.list >sources.list.d/testing.list &&
printf 'Package: *\nPin: release a=testing\nPin-Priority: 100\n' >preferences.d/testing &&
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes -t testing docker.io
"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("classic", marks=pytest.mark.full),
        "containerd",
        pytest.param("newest", marks=pytest.mark.full),
    ],
)
def host(request, lab) -> Iterator[Host]:
    made: Host = lab.host(HostSpec(f"store-{request.param}", suite="trixie"))
    if request.param == "newest":
        made.run(NEWEST, timeout=900)
    if request.param != "classic":
        made.put("/etc/docker/daemon.json", DAEMON_JSON)
        made.run("systemctl restart docker")
        made.wait_for("docker version")
        assert "io.containerd.snapshotter" in made.run("docker info").stdout
    yield made
    lab.remove(made)


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    with parcel.two_versions(ONE, TWO, seed=21):
        yield


@pytest.fixture
def ship(tmp_path, host: Host) -> Iterator[Shipper]:
    yield Shipper(tmp_path, [host])
    host.run(
        f"docker image rm -f {ONE} {TWO}; rm -f /usr/local/bin/docker /run/refused", check=False
    )


def test_sends_the_difference_and_the_image_is_whole(host: Host, ship: Shipper) -> None:
    ship(ONE, host.name)
    row = ship(TWO, host.name)[host.name]
    assert row["blobs"] == 1
    assert parcel.layers(host, TWO) == parcel.layers(None, TWO)
    host.run(f"docker image rm {ONE}; docker save {TWO} | tar -t >/dev/null")
    assert not ship(TWO, host.name)[host.name]["changed"]


def test_a_refused_difference_is_followed_by_the_whole(host: Host, ship: Shipper) -> None:
    ship(ONE, host.name)
    host.put("/usr/local/bin/docker", REFUSING, "0755")
    row = ship(TWO, host.name)[host.name]
    assert row["mode"] == "whole"
    assert "layer not found" in row["notes"][-1]
    assert parcel.layers(host, TWO) == parcel.layers(None, TWO)
    assert staged(host) == 0


def test_a_layer_damaged_out_of_sight_never_gets_a_name(host: Host, ship: Shipper) -> None:
    """containerd's store exits 0 over such a layer; classic engines call its diff ID invalid."""
    host.run("docker image prune --all --force")
    subprocess.run(ship.command("image_layers.py", "fill", ONE), check=True, capture_output=True)
    parcel.spoil(ship.store, parcel.layers(None, ONE)[1])
    row = ship(ONE, host.name, status=1)[host.name]
    assert "docker load: " in row["error"], row["error"]
    assert image_id(host, ONE) == ""
