"""Bundles: made, proved, put together, and deployed from on a host without a way out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import parcel
import pytest
from hostlab import Host, Playbooks, inventory
from hostlab.playbook import parse_recap

from ppocr_control import version
from ppocr_control.bundle.make import BundleOptions, make
from ppocr_control.layers.store import LayerStore
from ppocr_control.progress import Progress
from tests.tiers import first_by_default

ONE, TWO = "parcel:b1", "parcel:b2"
REAL = f"ppocr:{version.current()}"
# Packets that leave the host and are neither SSH nor answers of the service to the smoke test.
COUNT = """
iptables -t raw -A OUTPUT -o eth0 -p tcp --sport {port} -j ACCEPT
iptables -t raw -A OUTPUT -o eth0 -p tcp --sport 8866 -j ACCEPT
iptables -t raw -A OUTPUT -o eth0
"""
READ = "iptables -t raw -L OUTPUT -v -x -n | tail -1 | awk '{print $1}'"


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    layers = [parcel.noise(2, 11), parcel.noise(6, 12), b"one"]
    parcel.image(ONE, layers, "one")
    parcel.image(TWO, [*layers[:2], b"two"], "two")
    yield
    names = [name for tag in (ONE, TWO) for name in (tag, f"{tag}-base")]
    subprocess.run(["docker", "image", "rm", *names], capture_output=True, check=False)


@pytest.fixture(scope="module")
def key(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("key") / "release"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def order(folder: Path, image: str, **more: Any) -> dict[str, Any]:
    """A bundle without packages, which needs no network and no time."""
    wanted = BundleOptions(image, image, folder, releases=(), python_versions=(), **more)
    return make(wanted, LayerStore(folder.parent / "layers"), Progress("bundling", quiet=True))


@pytest.fixture(scope="module")
def quick(tmp_path_factory, key: Path) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "one"
    order(folder, ONE, signing_key=key)
    return folder


@pytest.fixture
def copy(quick: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to damage."""
    return Path(shutil.copytree(quick, tmp_path / "bundle"))


def verify(folder: Path, *arguments: str, status: int = 0) -> dict[str, Any]:
    command = [sys.executable, str(parcel.SCRIPTS / "verify_bundle.py"), str(folder), "--json"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def test_is_proved_and_its_image_loads_by_hand(quick: Path, key: Path) -> None:
    said = verify(quick, "--public-key", f"{key}.pub")
    subprocess.run(["docker", "image", "rm", ONE], check=True, capture_output=True)
    archive = str(quick / said["image"]["path"])
    subprocess.run(["docker", "load", "--input", archive], check=True, capture_output=True)
    loaded = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", ONE], check=True, capture_output=True
    )
    assert loaded.stdout.decode().strip() == said["image"]["id"]
    sbom = json.loads((quick / "SBOM.cdx.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"


def _alter(folder: Path) -> str:
    path = next((folder / "image").iterdir())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return f"{path.name} was altered"


def _truncate(folder: Path) -> str:
    path = next((folder / "image").iterdir())
    path.write_bytes(path.read_bytes()[:-4096])
    return "truncated"


def _lose(folder: Path) -> str:
    (folder / "project/pyproject.toml").unlink()
    return "project/pyproject.toml is missing"


@pytest.mark.parametrize("damage", first_by_default([_alter, _truncate, _lose]))
def test_a_damaged_bundle_is_refused(copy: Path, damage: Callable[[Path], str]) -> None:
    words = damage(copy)
    assert words in verify(copy, status=3)["error"]


def test_a_wrong_signature_is_refused(copy: Path, key: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(stranger)]
    subprocess.run(keygen, check=True)
    said = verify(copy, "--public-key", f"{stranger}.pub", status=3)
    assert "does not fit the key" in said["error"]
    manifest = copy / "MANIFEST.json"
    manifest.write_text(manifest.read_text().replace('"version": "b1"', '"version": "b9"'))
    assert "does not fit" in verify(copy, "--public-key", f"{key}.pub", status=3)["error"]
    (copy / "MANIFEST.json.sig").unlink()
    assert "is not signed" in verify(copy, "--public-key", f"{key}.pub", status=3)["error"]


def test_an_incremental_bundle_and_its_base_make_the_whole(quick: Path, tmp_path: Path) -> None:
    shutil.copytree(quick.parent / "layers", tmp_path / "layers")
    made = order(tmp_path / "two", TWO, since=quick)
    sizes = [
        sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        for folder in (quick, tmp_path / "two")
    ]
    assert sizes[1] < sizes[0] / 10
    assert made["since"]["absent"]
    whole = tmp_path / "whole"
    verify(tmp_path / "two", "--complete", str(quick), "--out", str(whole))
    assert verify(whole)["image"]["id"] == made["image"]["id"]
    command = [sys.executable, str(parcel.SCRIPTS / "load_image.py"), "--json"]
    subprocess.run([*command, str(whole / made["image"]["path"])], check=True, capture_output=True)


@pytest.mark.full
def test_hosts_are_left_alone_by_a_bad_bundle(
    fresh_host: Callable[..., Host], playbook: Playbooks, copy: Path
) -> None:
    host = fresh_host("bare", network="internal", engine="none")
    wanted = {"ppocr_bundle_dir": str(copy), "ppocr_image_name": "parcel", "ppocr_image_tag": "b1"}
    run = playbook("deploy", [host], extra_vars=wanted, expect_rc=2)
    assert "The bundle" in run.stdout
    assert "has packages for no release" in run.stdout
    _alter(copy)
    run = playbook("deploy", [host], extra_vars=wanted, expect_rc=2)
    assert "was altered" in run.stdout
    assert "Nothing was changed on any host" in run.stdout
    assert all(recap.changed == 0 for recap in run.recap.values())
    assert host.run("command -v docker", check=False).returncode != 0


def _have(image: str) -> bool:
    done = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.full
@pytest.mark.skipif(not _have(REAL), reason=f"no {REAL} on this machine: run scripts/deploy first")
def test_a_bare_host_without_a_way_out_becomes_a_service(
    fresh_host: Callable[..., Host], playbook: Playbooks, key: Path, tmp_path_factory
) -> None:
    folder = tmp_path_factory.mktemp("real") / "a bundle"
    command = [sys.executable, str(parcel.SCRIPTS / "make_bundle.py"), "--image", REAL]
    command += ["--out", str(folder), "--release", "debian-bookworm", "--sign", str(key), "--quiet"]
    subprocess.run(command, check=True)
    host = fresh_host("airgap", network="internal", engine="none", user="ops", port=2222)
    sources = (
        "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; ls /var/lib/apt/lists"
    )
    before = host.run(sources, check=False).stdout
    host.run(COUNT.format(port=host.port))
    wanted = {"ppocr_bundle_dir": str(folder), "bundle_public_key": f"{key}.pub"}
    balancers = inventory.write_balancers(folder.parent / "balancers.json", [host])
    run = playbook("deploy", [host], "-i", str(balancers), extra_vars=wanted)
    assert "PASSED airgap" in run.stdout
    assert host.run("systemctl is-active ppocr-balancer").stdout.strip() == "active"
    assert host.run(READ).stdout.strip() == "0"
    assert host.run(sources, check=False).stdout == before
    assert host.run("ls /var/lib/ppocr/packages /var/lib/ppocr/staging", check=False).stdout == ""
    control = tmp_path_factory.mktemp("control")
    _control_node_without_internet(folder, control)
    _deploys_from_the_bundle_itself(folder, key, host, control)


def _control_node_without_internet(bundle: Path, folder: Path) -> None:
    """The project in the bundle prepares itself with no network at all."""
    script = ". scripts/lib/env.sh && ansible-playbook --version && python -c 'import isal, docker'"
    environment = {**os.environ, "PPOCR_ROOT": ".", "PPOCR_VENV": str(folder / "venv")}
    done = subprocess.run(
        ["unshare", "--net", "sh", "-euc", script], cwd=bundle / "project", env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def _deploys_from_the_bundle_itself(bundle: Path, key: Path, host: Host, folder: Path) -> None:
    """Its project runs where it lies, under a locale that is not here, and leaves no file there.

    It is the second deploy of this host, so nothing is changed.
    """
    hosts = inventory.write(folder / "hosts.yml", [host])
    settings = {"ppocr_bundle_dir": str(bundle), "bundle_public_key": f"{key}.pub"}
    chinese = {"LANG": "zh_CN.UTF-8", "LC_ALL": "zh_CN.UTF-8", "LANGUAGE": "zh_CN:zh"}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PPOCR_")}
    done = subprocess.run(
        [str(bundle / "project/scripts/deploy"), "-i", str(hosts), "-e", json.dumps(settings)],
        cwd=bundle, env={**outside, **chinese, "PPOCR_CACHE": str(folder / "cache")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "PASSED airgap" in done.stdout
    assert not any(row.changed for row in parse_recap(done.stdout).values()), done.stdout[-4000:]
    verify(bundle, "--public-key", f"{key}.pub")
    assert (folder / "cache/reports/airgap").is_dir()
