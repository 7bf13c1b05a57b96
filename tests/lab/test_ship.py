"""Sending images: what is sent, what interrupts it, and what is refused."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import parcel
import pytest
from hostlab import Host, HostSpec, Playbooks, link
from hostlab.waiting import until
from parcel import MB, STAGING, Shipper, image_id, noise, settled, staged

from ppocr_control.layers.source import Source, open_source
from ppocr_control.layers.store import LayerStore
from ppocr_control.progress import Progress
from ppocr_control.shipping.fleet import Fleet
from ppocr_control.shipping.job import Job, Supply
from ppocr_control.shipping.result import Result
from ppocr_control.ssh.host import Login, SshHost
from tests.tiers import first_by_default

SPECS = (
    HostSpec("ship1", suite="bookworm", user="root"),
    HostSpec("ship2", suite="trixie", user="ops", port=2222),
)
ONE, TWO, BIG = "parcel:1", "parcel:2", "parcel:big"
ALIAS, STEPS = "parcel:also-1", "parcel:steps"


@pytest.fixture(scope="module")
def pair(lab) -> list[Host]:
    return lab.hosts(*SPECS)


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    """A first version, one with a small change on top, and a big one to interrupt."""
    layers = [noise(3, 1), noise(12, 2), b"one"]
    parcel.image(ONE, layers, "one")
    parcel.image(TWO, [*layers[:2], b"two"], "two")
    parcel.image(BIG, [noise(3, 3), noise(40, 4)], "big")
    yield
    names = [ALIAS, *(name for tag in (ONE, TWO, BIG) for name in (tag, f"{tag}-base"))]
    subprocess.run(["docker", "image", "rm", *names], capture_output=True, check=False)


@pytest.fixture
def ship(tmp_path_factory, pair: list[Host]) -> Iterator[Shipper]:
    yield Shipper(tmp_path_factory.mktemp("ship"), pair)
    for host in pair:
        host.run(f"docker image rm -f {ONE} {TWO} {BIG} {STEPS}; rm -rf {STAGING}", check=False)


def test_sends_what_each_host_lacks_and_nothing_twice(pair: list[Host], ship: Shipper) -> None:
    subprocess.run(["docker", "tag", ONE, ALIAS], check=True)
    first = ship(ONE, "ship1", "ship2")
    assert {name: row["changed"] for name, row in first.items()} == {"ship1": True, "ship2": True}
    for host in pair:
        assert parcel.layers(host, ONE) == parcel.layers(None, ONE)
        assert image_id(host, ONE) == first[host.name]["image_id"]
        assert host.run(f"docker image ls -q {ALIAS}").stdout == ""  # nobody spoke of that name
        assert staged(host) == 0
    second = ship(TWO, "ship1", "ship2")
    assert all(row["blobs"] == 1 and row["sent"] < 2000 for row in second.values()), second
    before = [link.sent_to(host) for host in pair]
    third = ship(TWO, "ship1", "ship2")
    assert all(row["sent"] == 0 and not row["changed"] for row in third.values())
    assert all(link.sent_to(host) - b < 50_000 for host, b in zip(pair, before, strict=True))


def test_whole_works_with_anything(pair: list[Host], ship: Shipper) -> None:
    ship(ONE, "ship1")
    pair[0].run(f"docker image rm {ONE}")
    row = ship(ONE, "ship1", "--mode", "whole")["ship1"]
    assert row["mode"] == "whole"
    assert row["blobs"] == len(set(parcel.layers(None, ONE)))


def test_a_kill_costs_no_byte(pair: list[Host], ship: Shipper) -> None:
    host = pair[0]
    ship(ONE, "ship2")  # the store exists, and the other host is no part of this
    with link.slowed(host, mbit=80):
        running = ship.start(BIG, "ship1")
        assert until(lambda: staged(host) > 12 * MB, 60, every=0.3)
        running.kill()
        running.wait()
        there = settled(host)
        assert image_id(host, BIG) == ""
        row = ship(BIG, "ship1")["ship1"]
    assert row["resumed"] >= there * 0.99
    assert there + row["sent"] <= 43 * MB * 1.01
    assert staged(host) == 0
    assert parcel.layers(host, BIG) == parcel.layers(None, BIG)


@pytest.mark.parametrize("trouble", first_by_default(["cable", "reboot"]))
def test_goes_on_after_a_broken_link_by_itself(
    pair: list[Host], ship: Shipper, trouble: str
) -> None:
    host = pair[0]
    with link.slowed(host, mbit=80):
        running = ship.start(BIG, "ship1")
        assert until(lambda: staged(host) > 12 * MB, 60, every=0.3)
        if trouble == "cable":
            host.unplug()
            time.sleep(3)
            host.plug()
        else:
            host.kill()
            host.start()
    out, err = running.communicate(timeout=240)
    assert running.returncode == 0, out + err
    row = json.loads(out)["hosts"][0]
    # A short pull of the cable is outlived by the connection; what a reboot loses is in buffers.
    assert row["sent"] < 43 * MB + 6 * MB, row
    if trouble == "reboot":
        assert row["resumed"] > 10 * MB, row
    assert parcel.layers(host, BIG) == parcel.layers(None, BIG)


@pytest.mark.full
def test_bytes_altered_on_the_host_are_sent_again(pair: list[Host], ship: Shipper) -> None:
    host = pair[0]
    with link.slowed(host, mbit=80):
        running = ship.start(BIG, "ship1")
        assert until(lambda: staged(host) > 12 * MB, 60, every=0.3)
        running.kill()
        running.wait()
    settled(host)
    write = "printf altered | dd of=$f conv=notrunc bs=1 seek=5000"
    host.run(f"f=$(ls -S {STAGING}/*/* | head -1); {write}")
    row = ship(BIG, "ship1")["ship1"]
    assert row["sent"] > 39 * MB
    assert parcel.layers(host, BIG) == parcel.layers(None, BIG)


@pytest.mark.full
def test_what_a_failure_leaves_is_bounded(pair: list[Host], ship: Shipper) -> None:
    host = pair[0]
    left = f"{STAGING}/0123456789abcdef"
    host.run(
        f"mkdir -p {left}; head -c 1M /dev/zero >{left}/{'0' * 64}; "  # as earlier versions left it
        f"touch -d '2 hours ago' {left}/* {left}"
    )
    ship(ONE, "ship1")
    assert host.run(f"ls {STAGING}", check=False).stdout == ""


@pytest.mark.full
def test_a_host_that_is_gone_does_not_hold_up_the_others(pair: list[Host], ship: Shipper) -> None:
    pair[1].unplug()
    try:
        rows = ship(ONE, "ship1", "ship2", status=4)
    finally:
        pair[1].plug()
    assert rows["ship1"]["changed"]
    assert "cannot be reached" in rows["ship2"]["error"]


def test_a_dry_run_says_the_steps_and_does_nothing(pair: list[Host], ship: Shipper) -> None:
    host = pair[0]
    host.run(f"docker image rm --force {TWO} {ONE}", check=False)
    row = ship(TWO, "ship1", "--dry-run")["ship1"]
    actions = [step["action"] for step in row["steps"]]
    assert actions[0] == "compress" and actions[-3:] == ["send", "load", "name"]
    assert row["otherwise"] == ["whole"]
    assert staged(host) == 0 and not any((ship.store / "blobs").rglob("*.*"))
    assert host.run(f"docker image inspect {TWO}", check=False).returncode
    ship(TWO, "ship1")
    assert ship(TWO, "ship1", "--dry-run")["ship1"]["steps"] == []


@pytest.mark.full
def test_goes_through_a_jump_host(pair: list[Host], ship: Shipper) -> None:
    ship(ONE, "ship2", "-J", "ship1")
    assert parcel.layers(pair[1], ONE) == parcel.layers(None, ONE)
    lines = pair[1].run("journalctl --no-pager -u ssh | grep Accepted | tail -1").stdout
    assert f"from {pair[0].address} " in lines


def ship_two(host: SshHost, source: Source, store: Path) -> list[Result]:
    quiet = Progress("sending", quiet=True)
    supply = Supply(source.image, LayerStore(store), lambda: nullcontext(source), quiet)
    return Fleet(Job(source.image, [TWO], supply, lambda _: STAGING, quiet), [host]).ship(source)


def test_sudo_that_asks_for_a_password(
    fresh_host: Callable[..., Host], playbook: Playbooks, tmp_path: Path
) -> None:
    host = fresh_host("shipasks", user="ops", sudo="password")
    shipper = Shipper(tmp_path, [host])
    row = shipper(ONE, "shipasks", status=4)["shipasks"]
    assert "--ask-sudo-password" in row["error"]
    wanted = {
        "ppocr_image_source": "ship", "ppocr_image_name": "parcel", "ppocr_image_tag": "1",
        "ppocr_image_store_dir": str(shipper.store),
    }  # fmt: skip
    playbook("ship", [host], extra_vars=wanted)
    assert parcel.layers(host, ONE) == parcel.layers(None, ONE)
    login = Login(config=shipper.config, sudo_password=host.password)
    with SshHost("shipasks", login) as there, open_source(TWO) as source:
        rows = ship_two(there, source, shipper.store)
    assert rows[0].changed, rows[0].summary()
    assert parcel.layers(host, TWO) == parcel.layers(None, TWO)
    wrong = Login(config=shipper.config, sudo_password=host.name)
    with SshHost("shipasks", wrong) as there, open_source(TWO) as source:
        rows = ship_two(there, source, shipper.store)
    assert "sudo refuses the given password" in rows[0].error


def test_an_unknown_host_key_is_refused(ship: Shipper) -> None:
    ship.config.write_text(ship.config.read_text().replace("UserKnownHostsFile", "#"))
    rows = ship(ONE, "ship1", status=4)
    assert "not among the known hosts" in rows["ship1"]["error"]


def test_too_small_a_disk_is_refused_before_a_byte(
    fresh_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = fresh_host("shipsmall", disks={"/var/lib/docker": 60})
    row = Shipper(tmp_path, [host])(BIG, "shipsmall", status=3)["shipsmall"]
    assert "not enough room: /var/lib/docker: needed" in row["error"]
    assert row["sent"] == 0
    assert staged(host) == 0


@pytest.mark.full
def test_a_disk_that_fills_while_loading_leaves_no_image(
    fresh_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = fresh_host("shipfill", disks={"/var/lib/docker": 130})
    ship = Shipper(tmp_path, [host])
    with link.slowed(host, mbit=80):
        running = ship.start(BIG, "shipfill")
        assert until(lambda: staged(host) > 12 * MB, 60, every=0.3)
        host.run("head -c 70M /dev/zero >/var/lib/docker/other", check=False)
        out, _ = running.communicate(timeout=240)
    assert running.returncode in (1, 3), out
    assert "no space left" in out or "not enough room" in out
    assert image_id(host, BIG) == ""
    host.run("rm /var/lib/docker/other")
    ship(BIG, "shipfill")
    assert parcel.layers(host, BIG) == parcel.layers(None, BIG)


@pytest.mark.full
def test_a_link_lost_while_loading_sends_nothing_again(
    pair: list[Host], ship: Shipper, stepped: str
) -> None:
    host = pair[0]
    running = ship.start(stepped, host.name)
    assert until(lambda: begun(host), 60, every=0.05)
    # What runs on the host goes on, beside the next try.
    host.run("pkill -KILL -f '^sshd: [a-z]+@'; pkill -KILL -f '^sshd-session: [a-z]+@'; true")
    out, err = running.communicate(timeout=240)
    assert running.returncode == 0, out + err
    row = json.loads(out)["hosts"][0]
    assert row["mode"] == "delta"
    assert not row["notes"], row
    assert row["sent"] < 106 * MB + 36 * MB, row  # one layer, where it went while it was looked at
    assert parcel.layers(host, stepped) == parcel.layers(None, stepped)
    assert host.run("docker image ls --all --quiet --filter dangling=true").stdout == ""


@pytest.fixture
def stepped() -> Iterator[str]:
    """An image of layers that are large enough to be loaded one by one, and of one it has twice."""
    one, two, three = (noise(35, 20 + number) for number in range(3))
    parcel.image(STEPS, [noise(1, 19), one, b"twice", two, b"twice", three], "steps")
    layers = parcel.layers(None, STEPS)
    assert len(set(layers)) == len(layers) - 1
    yield STEPS
    names = [STEPS, f"{STEPS}-base"]
    subprocess.run(["docker", "image", "rm", *names], capture_output=True, check=False)


def begun(host: Host) -> bool:
    """Whether a step was loaded, and not all of them."""
    listed = "docker image ls --all --quiet --filter label=org.ppocr.part-of"
    return bool(host.run(listed, check=False).stdout)


@pytest.mark.full
def test_archive_and_image_need_not_fit_together(
    fresh_host: Callable[..., Host], stepped: str, tmp_path: Path
) -> None:
    host = fresh_host("shipsteps", disks={"/var/lib/docker": 180})
    Shipper(tmp_path, [host])(stepped, "shipsteps")
    assert parcel.layers(host, stepped) == parcel.layers(None, stepped)
    assert host.run("docker image ls --all --quiet").stdout.count("\n") == 1


@pytest.mark.full
def test_a_power_cut_while_loading_costs_no_layer(
    pair: list[Host], ship: Shipper, stepped: str
) -> None:
    host = pair[0]
    running = ship.start(stepped, host.name)
    assert until(lambda: begun(host), 60, every=0.05)
    running.kill()
    host.kill()
    running.wait()
    host.start()
    assert image_id(host, stepped) == ""
    row = ship(stepped, host.name)[host.name]
    assert row["sent"] == 0, row
    assert parcel.layers(host, stepped) == parcel.layers(None, stepped)
    assert staged(host) == 0
    assert not begun(host)


@pytest.mark.full
def test_another_architecture_is_refused(pair: list[Host], ship: Shipper, tmp_path: Path) -> None:
    saved = tmp_path / "arm.tar"
    parcel.save_for_architecture(ONE, "arm64", saved)
    row = ship(str(saved), "ship1", "--tag", "parcel:arm", status=3)["ship1"]
    assert "is for arm64, the host is amd64" in row["error"]
    assert image_id(pair[0], "parcel:arm") == ""


@pytest.mark.parametrize("damage", first_by_default(["altered", "truncated"]))
def test_a_damaged_archive_is_refused(
    pair: list[Host], ship: Shipper, tmp_path: Path, damage: str
) -> None:
    saved = tmp_path / "saved.tar"
    subprocess.run(["docker", "save", "-o", str(saved), ONE], check=True)
    data = bytearray(saved.read_bytes())
    if damage == "truncated":
        del data[len(data) // 2 :]
    else:
        data[data.index(noise(12, 2)[5000:5100])] ^= 1
    saved.write_bytes(data)
    said = ship(str(saved), "ship1", status=3)
    assert damage in said["error"]
    assert image_id(pair[0], ONE) == ""


def test_files_and_the_guides_own_way_fit_each_other(
    pair: list[Host], ship: Shipper, tmp_path: Path
) -> None:
    host = pair[1]
    ours = tmp_path / "ours.tar"
    for compress in ("none", "gzip"):
        how = ("-o", str(ours), "--force", "--compress", compress)
        subprocess.run(ship.command("save_image.py", ONE, *how), check=True, capture_output=True)
        host.put("/home/ops/ours.tar", ours)
        host.run("docker load --input /home/ops/ours.tar")
        assert parcel.layers(host, ONE) == parcel.layers(None, ONE)
        host.run(f"docker image rm {ONE}")
    theirs = tmp_path / "theirs.tar"
    subprocess.run(["docker", "save", "-o", str(theirs), ONE], check=True)
    assert ship(str(theirs), "ship2")["ship2"]["changed"]
    assert parcel.layers(host, ONE) == parcel.layers(None, ONE)


def test_the_playbook_sends_and_then_changes_nothing(
    pair: list[Host], ship: Shipper, playbook: Playbooks
) -> None:
    wanted = {
        "ppocr_image_source": "ship", "ppocr_image_name": "parcel", "ppocr_image_tag": "1",
        "ppocr_image_store_dir": str(ship.store),
    }  # fmt: skip
    run = playbook("ship", pair, extra_vars=wanted)
    assert all(recap.changed == 1 for recap in run.recap.values()), run.recap
    for host in pair:
        assert parcel.layers(host, ONE) == parcel.layers(None, ONE)
    playbook("ship", pair, extra_vars=wanted).assert_unchanged()


@pytest.mark.full
def test_a_playbook_killed_in_mid_transfer_goes_on(
    pair: list[Host], ship: Shipper, playbook: Playbooks
) -> None:
    host = pair[1]
    wanted = {
        "ppocr_image_source": "ship", "ppocr_image_name": "parcel", "ppocr_image_tag": "big",
        "ppocr_image_store_dir": str(ship.store),
    }  # fmt: skip
    with link.slowed(host, mbit=80):
        running = playbook.start("ship", [host], extra_vars=wanted)
        assert until(lambda: staged(host) > 18 * MB, 120, every=0.3)
        running.kill()
        there = settled(host)
        run = playbook("ship", [host], extra_vars={**wanted, "deploy_lock_break": True})
    assert f"({there / MB:.1f} MB were on the host" in run.stdout, run.tail()
    assert parcel.layers(host, BIG) == parcel.layers(None, BIG)
