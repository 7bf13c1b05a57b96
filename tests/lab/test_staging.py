"""Staging in a folder that holds an operator's own: nothing of that is touched."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import parcel
import pytest
from hostlab import Host, HostSpec, Playbooks, link
from hostlab.waiting import until
from parcel import MB, Shipper, noise

BIG = "parcel:staged"
DATA = "/data"
OWN = f"{DATA}/ppocr-staging"
# Old and new, links in and out, and names that layers and their folders could have.
FILL = f"""
set -e
rm -rf {DATA} /elsewhere
mkdir -p {DATA}/books {DATA}/relay/0123456789abcdef {DATA}/0123456789abcdef
mkdir -p /elsewhere/0123456789abcdef
for folder in {DATA} {DATA}/* {DATA}/relay/* /elsewhere /elsewhere/*; do
  echo "the operator's" >$folder/{"0" * 64}
done
ln -s /elsewhere {DATA}/fedcba9876543210
ln -s /elsewhere/0123456789abcdef {DATA}/relay/fedcba9876543210
find {DATA} /elsewhere -exec touch --no-dereference -d '2 days ago' {{}} +
mkdir {DATA}/new
echo new >{DATA}/new/file
"""
LIST = (
    f"find {DATA} /elsewhere -path {OWN} -prune -o ! -path {DATA} "
    "-printf '%p %y %m %l %s %T@\\n' | sort"
)


@pytest.fixture(scope="module")
def host(lab) -> Host:
    return lab.host(HostSpec("staging1", suite="bookworm", user="root"))


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    parcel.image(BIG, [noise(3, 31), noise(40, 32)], "staged")
    yield
    subprocess.run(["docker", "image", "rm", BIG, f"{BIG}-base"], capture_output=True, check=False)


@pytest.fixture
def before(host: Host) -> Iterator[str]:
    """What the operator has."""
    host.run(FILL)
    yield host.run(LIST).stdout
    host.run(f"docker image rm -f {BIG}; rm -rf {DATA} /elsewhere", check=False)


def under_way(host: Host) -> int:
    said = host.run(f"find {OWN} -type f -printf '%s\\n' 2>/dev/null; true").stdout
    return sum(map(int, said.split()))


def test_a_command_touches_nothing_of_the_operators(host: Host, before: str, tmp_path) -> None:
    ship = Shipper(tmp_path, [host])
    with link.slowed(host, mbit=80):
        running = ship.start(BIG, host.name, "--staging", DATA)
        assert until(lambda: under_way(host) > 12 * MB, 60, every=0.3)
        running.kill()
        running.wait()
    assert host.run(LIST).stdout == before
    host.run(f"find {OWN} -exec touch -d '2 hours ago' {{}} +")
    row = ship(BIG, host.name, "--staging", DATA)[host.name]
    assert row["resumed"] > 10 * MB
    assert host.run(LIST).stdout == before
    assert host.run(f"ls -d {OWN}", check=False).stdout == ""
    assert parcel.layers(host, BIG) == parcel.layers(None, BIG)


@pytest.mark.full
def test_the_roles_setting_touches_nothing_of_the_operators(
    host: Host, before: str, playbook: Playbooks, tmp_path
) -> None:
    wanted = {
        "ppocr_image_source": "ship", "ppocr_image_name": "parcel", "ppocr_image_tag": "staged",
        "ppocr_image_store_dir": str(tmp_path / "layers"), "ppocr_image_staging_dir": DATA,
    }  # fmt: skip
    with link.slowed(host, mbit=80):
        running = playbook.start("ship", [host], extra_vars=wanted)
        assert until(lambda: under_way(host) > 18 * MB, 120, every=0.3)
        running.kill()
    assert host.run(LIST).stdout == before
    playbook("ship", [host], extra_vars={**wanted, "deploy_lock_break": True})
    assert host.run(LIST).stdout == before
    assert parcel.layers(host, BIG) == parcel.layers(None, BIG)


def test_a_link_in_the_place_of_the_own_folder_is_refused(
    host: Host, before: str, tmp_path
) -> None:
    host.run(f"ln -s /elsewhere {OWN}")
    row = Shipper(tmp_path, [host])(BIG, host.name, "--staging", DATA, status=3)[host.name]
    assert "is a link, or belongs to another user" in row["error"]
    assert "--staging" in row["error"]
    assert row["sent"] == 0
    assert host.run(LIST).stdout == before
