"""A container committed again: a big layer of which little changed is rebuilt on the host."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import parcel
import pytest
from hostlab import Host, HostSpec, Playbooks, link
from hostlab.playbook import words
from hostlab.waiting import until
from parcel import MB, STAGING, Shipper, image_id, noise, settled, staged

SPECS = (
    HostSpec("commit1", suite="bookworm", user="root"),
    HostSpec("commit2", suite="trixie", user="ops", port=2222),
)
BASE, OLD, NEW, GROWN = "committed:base", "committed:1", "committed:2", "committed:3"
SIZE = 72 * MB
REBUILT = "rebuilt on the host from files"
# Alters a file in a layer of the host once it was compared.
ALTERING = """#!/bin/sh
if [ "$2" = ppocr-rebuild ]; then
  for file in /var/lib/docker/overlay2/*/diff/srv/2; do
    printf altered | dd of=$file conv=notrunc seek=1000 bs=1 status=none
  done
fi
exec /usr/bin/python3 "$@"
"""


@pytest.fixture(scope="module")
def pair(lab) -> list[Host]:
    return lab.hosts(*SPECS)


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    """An image, and three commits of a container of it."""
    parcel.image(BASE, [noise(1, 31), b"base"])
    files = {f"srv/{n}": noise(3, 40 + n) for n in range(24)}
    parcel.commit(OLD, BASE, files)
    parcel.commit(NEW, BASE, {**files, "srv/1": b"changed"})
    parcel.commit(GROWN, BASE, {**files, "srv/more": noise(25, 70)})
    yield
    names = [BASE, OLD, NEW, GROWN, f"{BASE}-base"]
    subprocess.run(["docker", "image", "rm", *names], capture_output=True, check=False)


@pytest.fixture
def ship(tmp_path_factory, pair: list[Host]) -> Iterator[Shipper]:
    """A shipper, and hosts that have the first commit."""
    shipper = Shipper(tmp_path_factory.mktemp("ship"), pair)
    shipper(OLD, *(host.name for host in pair))
    yield shipper
    for host in pair:
        host.run("rm -f /usr/local/bin/python3")
        host.run(f"docker image rm -f {OLD} {NEW} {GROWN}; rm -rf {STAGING}", check=False)


def assert_whole(host: Host, tag: str) -> None:
    """The host has what is here, and nothing waits there any more."""
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", tag]
    here = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert image_id(host, tag) == here
    assert parcel.layers(host, tag) == parcel.layers(None, tag)
    host.run(f"docker save {tag} | tar -t >/dev/null")
    assert staged(host) == 0


def test_a_changed_file_is_all_that_is_sent(pair: list[Host], ship: Shipper) -> None:
    before = [link.sent_to(host) for host in pair]
    rows = ship(NEW, "commit1", "commit2")
    for host, start in zip(pair, before, strict=True):
        assert rows[host.name]["mode"] == "delta"
        assert REBUILT in rows[host.name]["notes"][-1]
        assert link.sent_to(host) - start < 0.02 * SIZE
        assert_whole(host, NEW)
    assert not ship(NEW, "commit1")["commit1"]["changed"]


@pytest.mark.full
def test_what_a_group_can_rebuild_is_not_relayed(pair: list[Host], ship: Shipper) -> None:
    before = [link.sent_to(host) for host in pair]
    rows = ship(NEW, "commit1", "commit2", "--relay", "commit1")
    for host, start in zip(pair, before, strict=True):
        row = rows[host.name]
        assert len(row["notes"]) == 1 and REBUILT in row["notes"][0], row
        assert row["relayed"] == 0
        assert link.sent_to(host) - start < 0.02 * SIZE
        assert_whole(host, NEW)


@pytest.mark.full
def test_a_layer_one_of_a_group_needs_whole_is_relayed_to_all(
    pair: list[Host], ship: Shipper
) -> None:
    relay, peer = pair
    peer.run(f"docker image rm -f {OLD}")
    with link.from_here(peer) as to_peer:
        rows = ship(NEW, "commit1", "commit2", "--relay", "commit1")
        assert to_peer() < 0.02 * SIZE
    assert 69 * MB < rows["commit1"]["sent"] < SIZE, rows["commit1"]
    assert rows["commit2"]["sent"] == 0 and rows["commit2"]["relayed"] > 69 * MB, rows["commit2"]
    assert not any(REBUILT in note for row in rows.values() for note in row["notes"]), rows
    for host in (relay, peer):
        assert_whole(host, NEW)


@pytest.mark.full
def test_the_playbook_rebuilds_and_relays_nothing_of_it(
    pair: list[Host], ship: Shipper, playbook: Playbooks
) -> None:
    wanted = {
        "ppocr_image_source": "ship", "ppocr_image_name": "committed", "ppocr_image_tag": "2",
        "ppocr_image_store_dir": str(ship.store),
    }  # fmt: skip
    group = {"ppocr_image_relay": "commit1"}
    before = [link.sent_to(host) for host in pair]
    run = playbook("ship", pair, extra_vars=wanted, group_vars=group)
    assert run.stdout.count(REBUILT) >= 2
    assert "the relay commit1 did not deliver" not in words(run), run.tail()
    for host, start in zip(pair, before, strict=True):
        assert link.sent_to(host) - start < 0.05 * SIZE
        assert_whole(host, NEW)
    playbook("ship", pair, extra_vars=wanted, group_vars=group).assert_unchanged()


@pytest.mark.full
def test_a_file_altered_on_the_host_is_sent_with_the_rest(pair: list[Host], ship: Shipper) -> None:
    host = pair[0]
    host.run("printf altered | dd conv=notrunc of=$(ls /var/lib/docker/overlay2/*/diff/srv/2)")
    row = ship(NEW, "commit1")["commit1"]
    assert REBUILT in row["notes"][-1]
    assert 0 < row["sent"] < 0.02 * SIZE
    assert_whole(host, NEW)


def test_a_file_altered_while_it_is_rebuilt_never_gets_a_name(
    pair: list[Host], ship: Shipper
) -> None:
    for host in pair:
        host.put("/usr/local/bin/python3", ALTERING, "0755")
    rows = ship(NEW, "commit1", "commit2")
    for host in pair:
        row = rows[host.name]
        assert row["mode"] == "delta"
        assert "without comparing files" in row["notes"][-1]
        assert "docker load: " in row["notes"][-1], row["notes"]
        assert row["sent"] > 60 * MB
        assert_whole(host, NEW)


@pytest.mark.full
def test_a_host_without_python_gets_the_layer(pair: list[Host], ship: Shipper) -> None:
    host = pair[0]
    host.run("mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        row = ship(NEW, "commit1")["commit1"]
    finally:
        host.run("mv /usr/bin/python3.away /usr/bin/python3")
    assert "it has no python3" in row["notes"][-1]
    assert_whole(host, NEW)


@pytest.mark.full
def test_without_root_the_host_gets_the_layer(pair: list[Host], ship: Shipper) -> None:
    host = pair[1]
    host.run("usermod -aG docker ops")
    try:
        row = ship(NEW, "commit2", "--sudo", "no")["commit2"]
    finally:
        host.run("gpasswd -d ops docker")
    assert "Permission denied" in row["notes"][-1]
    assert_whole(host, NEW)


@pytest.mark.full
def test_an_interrupted_one_goes_on(pair: list[Host], ship: Shipper) -> None:
    host = pair[0]
    with link.slowed(host, mbit=80):
        running = ship.start(GROWN, "commit1")
        assert until(lambda: staged(host) > 8 * MB, 60, every=0.3)
        running.kill()
        running.wait()
        there = settled(host)
        row = ship(GROWN, "commit1")["commit1"]
    assert row["resumed"] >= there * 0.99
    assert there + row["sent"] < 26 * MB
    assert REBUILT in row["notes"][-1]
    assert_whole(host, GROWN)


@pytest.mark.full
def test_containerds_store_gets_the_layer(lab, tmp_path) -> None:
    host = lab.host(HostSpec("commit3", suite="trixie"))
    settings = json.dumps({"features": {"containerd-snapshotter": True}})
    host.put("/etc/docker/daemon.json", settings)
    host.run("systemctl restart docker")
    host.wait_for("docker version")
    ship = Shipper(tmp_path, [host])
    ship(OLD, "commit3")
    row = ship(NEW, "commit3")["commit3"]
    assert row["notes"] == []
    assert row["sent"] > 60 * MB
    assert parcel.layers(host, NEW) == parcel.layers(None, NEW)
