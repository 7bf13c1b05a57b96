"""Sending through a registry of the owner's: pushed once, pulled by digest, then proved."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import parcel
import pytest
from hostlab import Host, HostSpec, Playbooks, link, registry
from parcel import MB, Shipper, image_id, staged

ONE, TWO = "parcel:r1", "parcel:r2"
DAEMON_JSON = json.dumps({"features": {"containerd-snapshotter": True}})


@pytest.fixture(scope="module")
def pair(lab) -> list[Host]:
    """A classic engine, and one that keeps images in containerd's store."""
    hosts: list[Host] = lab.hosts(
        HostSpec("pull1", suite="bookworm"),
        HostSpec("pull2", suite="trixie", user="ops", port=2222),
    )
    hosts[1].put("/etc/docker/daemon.json", DAEMON_JSON)
    hosts[1].run("systemctl restart docker")
    hosts[1].wait_for("docker version")
    return hosts


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("registry")
    binary = registry.program(folder / "program")
    if binary is None:
        pytest.skip("docker-registry is not among this machine's packages")
    with registry.serving(folder, binary) as found:
        yield found


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    with parcel.two_versions(ONE, TWO, seed=31):
        yield


@pytest.fixture
def ship(tmp_path, pair: list[Host]) -> Iterator[Shipper]:
    yield Shipper(tmp_path, pair)
    for host in pair:
        host.run(f"docker image rm -f {ONE} {TWO}", check=False)


def names_on(host: Host) -> set[str]:
    return set(host.run("docker image ls --format '{{.Repository}}:{{.Tag}}'").stdout.split())


def test_pushed_once_pulled_by_each(pair: list[Host], ship: Shipper, address: str) -> None:
    with registry.reached_by(address, *pair):
        rows = ship(ONE, "pull1", "pull2", "--registry", address)  # auto takes the registry
        assert {row["mode"] for row in rows.values()} == {"registry"}
        for host in pair:
            assert parcel.layers(host, ONE) == parcel.layers(None, ONE)
            assert image_id(host, ONE) == rows[host.name]["image_id"]
            assert names_on(host) == {ONE}
        before = [link.sent_to(host) for host in pair]
        rows = ship(TWO, "pull1", "pull2", "--registry", f"{address}/team", "--mode", "registry")
        assert all(row["changed"] for row in rows.values())
        for host, sent in zip(pair, before, strict=True):
            assert parcel.layers(host, TWO) == parcel.layers(None, TWO)
            assert link.sent_to(host) - sent < MB / 4
        rows = ship(TWO, "pull1", "pull2", "--registry", address)
        assert not any(row["changed"] for row in rows.values())
    assert f"{address}/parcel" not in subprocess.run(
        ["docker", "image", "ls"], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip


@pytest.mark.full
def test_a_host_that_cannot_pull_gets_the_layers(pair: list[Host], ship, address: str) -> None:
    with registry.reached_by(address, pair[0]):
        rows = ship(ONE, "pull1", "pull2", "--registry", address)
        assert (rows["pull1"]["mode"], rows["pull2"]["mode"]) == ("registry", "delta")
        assert "the registry failed" in rows["pull2"]["notes"][0]
        assert parcel.layers(pair[1], ONE) == parcel.layers(None, ONE)
        assert staged(pair[1]) == 0
        pair[1].run(f"docker image rm -f {ONE}")
        rows = ship(ONE, "pull1", "pull2", "--registry", address, "--mode", "registry", status=1)
        assert "docker pull" in rows["pull2"]["error"] and not rows["pull1"]["error"]


@pytest.mark.full
def test_a_saved_image_is_pushed_too(
    pair: list[Host], ship: Shipper, address: str, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.tar"
    subprocess.run(["docker", "save", "-o", str(saved), TWO], check=True)
    subprocess.run(["docker", "image", "rm", TWO], check=True, capture_output=True)
    with registry.reached_by(address, pair[0]):
        ship(str(saved), "pull1", "--registry", address, "--mode", "registry")
    assert parcel.layers(pair[0], TWO) == parcel.layers(None, TWO)
    pair[0].run(f"docker image rm {TWO}")
    subprocess.run(["docker", "tag", ONE, TWO], check=True)
    try:
        said = ship(str(saved), "pull1", "--registry", address, "--mode", "registry", status=3)
        assert f"where {TWO} is another image:" in said["error"]
    finally:
        subprocess.run(["docker", "load", "-i", str(saved)], check=True, capture_output=True)


@pytest.mark.full
def test_too_small_a_disk_is_refused_before_a_pull(
    fresh_host: Callable[..., Host], tmp_path: Path, address: str
) -> None:
    parcel.image("parcel:r3", [parcel.noise(30, 41), parcel.noise(30, 42)])
    host = fresh_host("pullsmall", disks={"/var/lib/docker": 60})
    try:
        with registry.reached_by(address, host):
            command = ("parcel:r3", "pullsmall", "--registry", address)
            row = Shipper(tmp_path, [host])(*command, status=3)["pullsmall"]
        assert "not enough room: /var/lib/docker: needed 80 MB" in row["error"]
        assert image_id(host, "parcel:r3") == ""
    finally:
        subprocess.run(["docker", "image", "rm", "parcel:r3", "parcel:r3-base"], check=False)


@pytest.mark.full
def test_another_image_under_that_name_is_never_named(
    pair: list[Host], ship: Shipper, address: str
) -> None:
    """Whatever docker pull brings: what it calls the image has to be what is here."""
    host = pair[0]
    ship(TWO, "pull1", "--mode", "delta")
    lie = f'#!/bin/sh\n[ "$1" != pull ] || exec docker.io tag {TWO} other:1\nexec docker.io "$@"\n'
    lie = lie.replace("docker.io", "/usr/bin/docker")
    host.put("/usr/local/bin/docker", lie, "0755")
    try:
        with registry.reached_by(address, host):
            said = ship(ONE, "pull1", "--registry", address, "--mode", "registry", status=1)
    finally:
        host.run("rm /usr/local/bin/docker; docker image rm other:1")
    assert "the registry gave another image than was pushed" in said["pull1"]["error"]
    assert image_id(host, ONE) == ""


@pytest.mark.full
def test_the_playbook_pulls_and_then_changes_nothing(
    pair: list[Host], ship: Shipper, address: str, playbook: Playbooks
) -> None:
    wanted = {
        "ppocr_image_source": "ship", "ppocr_image_name": "parcel", "ppocr_image_tag": "r1",
        "ppocr_image_store_dir": str(ship.store), "ppocr_image_registry": address,
    }  # fmt: skip
    with registry.reached_by(address, pair[0]):
        run = playbook("ship", pair, extra_vars=wanted)
        assert "pull1: pulled from the registry" in run.stdout
        assert "pull2: delta" in run.stdout
        for host in pair:
            assert parcel.layers(host, ONE) == parcel.layers(None, ONE)
        playbook("ship", pair, extra_vars=wanted).assert_unchanged()
    missing = {**wanted, "ppocr_image_registry": "", "ppocr_image_ship_mode": "registry"}
    pair[0].run(f"docker image rm -f {ONE}")
    run = playbook("ship", pair, extra_vars=missing, expect_rc=2)
    assert "ppocr_image_registry is empty" in " ".join(run.stdout.split())
