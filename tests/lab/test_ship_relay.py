"""A relay: the image crosses the link to a site once, and one host there serves the others."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import parcel
import pytest
from hostlab import Host, HostSpec, Playbooks, link
from hostlab.playbook import words
from hostlab.waiting import until
from parcel import MB, STAGING, Shipper, image_id, staged

from tests.tiers import first_by_default

ONE, TWO = "parcel:f1", "parcel:f2"
PORT = 18866
SIZE = 43 * MB


@pytest.fixture(scope="module")
def site(lab) -> list[Host]:
    """A relay, and two hosts it serves; their engines differ in age."""
    hosts: list[Host] = lab.hosts(
        HostSpec("far1"), HostSpec("far2", suite="trixie", user="ops", port=2222), HostSpec("far3")
    )
    return hosts


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    """A first version, and one with a small change on top."""
    layers = [parcel.noise(3, 51), parcel.noise(40, 52), b"one"]
    parcel.image(ONE, layers, "one")
    parcel.image(TWO, [*layers[:2], b"two"], "two")
    yield
    names = [name for tag in (ONE, TWO) for name in (tag, f"{tag}-base")]
    subprocess.run(["docker", "image", "rm", *names], capture_output=True, check=False)


@pytest.fixture
def ship(tmp_path_factory, site: list[Host]) -> Iterator[Shipper]:
    yield Shipper(tmp_path_factory.mktemp("relay"), site)
    for host in site:
        host.run(f"docker image rm -f {ONE} {TWO}; rm -rf {STAGING}", check=False)


RELAYED = ("far1", "far2", "far3", "--relay", "far1")


def listening(host: Host) -> bool:
    sockets = host.run("cat /proc/net/tcp /proc/net/tcp6").stdout.upper()
    return any(f":{PORT:04X} " in line and " 0A " in line for line in sockets.splitlines())


def serving(host: Host) -> str:
    """Processes of a relay on a host."""
    return host.run("pgrep -af '[p]pocr-relay'", check=False).stdout


def assert_all_well(site: list[Host], tag: str) -> None:
    """Every host has the image, and nothing is left of the way it came."""
    for host in site:
        assert parcel.layers(host, tag) == parcel.layers(None, tag), host
        assert host.run(f"ls -A {STAGING} 2>/dev/null", check=False).stdout == "", host
        assert not serving(host) and not listening(host), host


def test_the_image_crosses_the_link_once(site: list[Host], ship: Shipper) -> None:
    with link.from_here(site[0]) as to_relay, link.from_here(*site[1:]) as to_peers:
        first = ship(ONE, *RELAYED)
        print("bytes from here: to the relay", to_relay(), "to its group", to_peers())
        assert to_peers() < SIZE / 100
        assert SIZE < to_relay() < SIZE * 1.05
    assert_all_well(site, ONE)
    assert all(row["changed"] and not row["notes"] for row in list(first.values())[1:]), first
    for host in site[1:]:
        row = first[host.name]
        assert (row["relay"], row["sent"], row["mode"]) == ("far1", 0, "delta"), row
        assert SIZE * 0.99 < row["relayed"] < SIZE * 1.01
        assert image_id(host, ONE) == row["image_id"]
    assert first["far1"]["sent"] > SIZE * 0.99
    second = ship(TWO, *RELAYED)
    assert sum(row["sent"] for row in second.values()) < 4000, second
    assert all(0 < second[name]["relayed"] < 2000 for name in ("far2", "far3")), second
    assert_all_well(site, TWO)
    third = ship(TWO, *RELAYED)
    assert not any(row["changed"] or row["sent"] or row["relayed"] for row in third.values())


@pytest.mark.full
def test_a_slow_link_to_the_site_is_used_once(site: list[Host], ship: Shipper) -> None:
    ship(ONE, "far1", "--tag", "warm:up")  # the store is filled, so that only the way counts
    seconds = {}
    for way in (RELAYED[:3], RELAYED):
        for host in site:
            host.run(f"docker image rm -f {ONE} warm:up", check=False)
        with link.slow_to_all(site[0], mbit=40):
            began = time.monotonic()
            ship(ONE, *way)
            seconds[way] = time.monotonic() - began
    direct, relayed = seconds.values()
    print(f"three hosts behind 40 Mbit/s: {direct:.1f} s without a relay, {relayed:.1f} s with one")
    assert relayed < direct * 0.75


@pytest.mark.full
def test_a_relay_that_has_the_image_serves_what_others_lack(
    site: list[Host], ship: Shipper
) -> None:
    ship(ONE, "far1")
    rows = ship(ONE, *RELAYED)
    assert not rows["far1"]["changed"] and rows["far1"]["sent"] > SIZE * 0.99
    assert rows["far2"]["sent"] == rows["far3"]["sent"] == 0
    assert_all_well(site, ONE)


@pytest.mark.parametrize("trouble", first_by_default(["server", "host"]))
def test_a_relay_that_dies_is_done_without(site: list[Host], ship: Shipper, trouble: str) -> None:
    relay, *peers = site
    with link.slowed(*peers, mbit=40):
        running = ship.start(ONE, *RELAYED)
        assert until(lambda: all(staged(peer) > 4 * MB for peer in peers), 120, every=0.2)
        if trouble == "server":
            relay.run("pkill -f '[p]pocr-relay'")
        else:
            relay.kill()
        out, err = running.communicate(timeout=300)
    rows: dict[str, Any] = {row["host"]: row for row in json.loads(out)["hosts"]}
    if trouble == "host":
        relay.start()
    assert running.returncode == (0 if rows["far1"]["changed"] else 4), out + err
    for name in ("far2", "far3"):
        assert rows[name]["relayed"] > 4 * MB * 0.9, rows[name]
        assert rows[name]["relayed"] + rows[name]["sent"] < SIZE * 1.02, rows[name]
        assert "ppocr_image_relay" in rows[name]["notes"][0], rows[name]
    for peer in peers:
        assert parcel.layers(peer, ONE) == parcel.layers(None, ONE)
    # What a relay keeps that was off at the end goes as what any failed try leaves does.
    assert_all_well(peers if trouble == "host" else site, ONE)


@pytest.mark.full
@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "port 18866: Address already in use"), (("--relay-address", "127.0.0.9"), "refused")],
    ids=["its port is taken", "nobody reaches it"],
)
def test_what_a_relay_cannot_do_is_sent_from_here(
    site: list[Host], ship: Shipper, arguments: tuple[str, ...], words: str
) -> None:
    if not arguments:
        listens = f"import socket, time; s = socket.create_server(('', {PORT})); time.sleep(200)"
        site[0].run(f'systemd-run --unit=holder python3 -c "{listens}"')
        assert until(lambda: listening(site[0]), 20, every=0.2)
    try:
        rows = ship(ONE, *RELAYED, *arguments)
    finally:
        site[0].run("systemctl stop holder", check=False)
    assert all(words in rows[name]["notes"][0] for name in ("far2", "far3")), rows
    assert all(rows[name]["sent"] > SIZE * 0.99 for name in ("far2", "far3"))
    assert_all_well(site, ONE)


@pytest.mark.full
def test_a_killed_run_is_gone_on_with(site: list[Host], ship: Shipper) -> None:
    relay, *peers = site
    with link.slowed(*peers, mbit=40):
        running = ship.start(ONE, *RELAYED)
        assert until(lambda: all(staged(peer) > 4 * MB for peer in peers), 120, every=0.2)
        running.kill()
        running.wait()
        time.sleep(1)
        assert serving(relay)  # until nobody has fetched for a while
        there = [staged(peer) for peer in peers]
        rows = ship(ONE, *RELAYED)
    assert rows["far1"]["sent"] == 0, rows["far1"]
    for peer, had in zip(peers, there, strict=True):
        row = rows[peer.name]
        assert row["sent"] == 0 and row["relayed"] < SIZE * 1.01 - had, (row, had)
        assert row["resumed"] > had * 0.95, (row, had)
    assert_all_well(site, ONE)


def test_a_relay_has_to_be_one_of_the_hosts(ship: Shipper) -> None:
    said = ship(ONE, "far2", "--relay", "far1", status=3)
    assert "--relay far1 is not one of the hosts" in said["error"]


@pytest.mark.full
def test_the_playbook_relays_and_then_changes_nothing(
    site: list[Host], ship: Shipper, playbook: Playbooks
) -> None:
    wanted = {
        "ppocr_image_source": "ship", "ppocr_image_name": "parcel", "ppocr_image_tag": "f1",
        "ppocr_image_store_dir": str(ship.store),
    }  # fmt: skip
    group = {"ppocr_image_relay": "far1"}
    with link.from_here(*site[1:]) as to_peers:
        run = playbook("ship", site, extra_vars=wanted, group_vars=group)
        print("bytes from here to the group:", to_peers())
        assert to_peers() < 600_000  # Ansible's own modules, whatever the size of the image
    assert all(recap.changed == 1 for recap in run.recap.values()), run.recap
    assert "far2: delta, 3 layers, 0.0 MB sent, 43.0 MB from far1" in words(run), run.tail()
    assert_all_well(site, ONE)
    again = playbook("ship", site, extra_vars=wanted, group_vars=group)
    again.assert_unchanged()
    assert "relays" not in again.stdout
    site[1].run(f"docker image rm -f {ONE}")
    bad = playbook(
        "ship", site, "--limit", "far2", extra_vars=wanted, group_vars=group, expect_rc=2
    )
    assert "ppocr_image_relay of far2 is far1, which is not among the hosts" in words(bad)


@pytest.mark.full
def test_a_relay_that_fails_in_the_playbook_is_done_without(
    site: list[Host], ship: Shipper, playbook: Playbooks
) -> None:
    wanted = {
        "ppocr_image_source": "ship", "ppocr_image_name": "parcel", "ppocr_image_tag": "f1",
        "ppocr_image_store_dir": str(ship.store), "ppocr_image_relay_address": "127.0.0.9",
    }  # fmt: skip
    run = playbook("ship", site, extra_vars=wanted, group_vars={"ppocr_image_relay": "far1"})
    assert (
        "the relay far1 did not deliver were sent directly (fetching from 127.0.0.9:18866"
        in words(run)
    )
    assert_all_well(site, ONE)


@pytest.mark.full
def test_a_relay_that_is_off_in_the_playbook_is_done_without(
    site: list[Host], ship: Shipper, playbook: Playbooks
) -> None:
    wanted = {
        "ppocr_image_source": "ship", "ppocr_image_name": "parcel", "ppocr_image_tag": "f1",
        "ppocr_image_store_dir": str(ship.store),
    }  # fmt: skip
    group = {"ppocr_image_relay": "far1"}
    site[0].kill()
    try:
        run = playbook(
            "ship", site, extra_vars=wanted, group_vars=group, expect_rc=4,
            env={"ANSIBLE_TIMEOUT": "5"},
        )  # fmt: skip
    finally:
        site[0].start()
    assert run.recap["far1"].unreachable and run.recap["far2"].changed == 1, run.recap
    assert "the relay far1 did not deliver were sent directly (it failed before" in words(run)
    for peer in site[1:]:
        assert parcel.layers(peer, ONE) == parcel.layers(None, ONE)
