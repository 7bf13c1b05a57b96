"""A host whose sudo, apt, shell and libc speak German: the remedies are the same ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import parcel
import pytest
from hostlab import Host, HostSpec, Playbooks, inventory
from hostlab.playbook import words
from parcel import STAGING, Shipper
from test_host_roles import PLAY, refused

ROOT = Path(__file__).parents[2]
ONE = "parcel:german"
PREFLIGHT = ("--tags", "preflight")


@pytest.fixture(scope="module")
def german(lab) -> Host:
    """Packages with their translations, and German for every login and for what sudo starts."""
    host = lab.hosts(HostSpec("german", user="ops", sudo="password", port=2222))[0]
    packages = "sudo apt dpkg bash coreutils libpam0g libc-bin"
    host.run(
        "sed -i '/share.locale/d' /etc/dpkg/dpkg.cfg.d/* && apt-get -qq update && "
        f"apt-get -qq install locales && apt-get -qq install --reinstall {packages} && "
        "echo 'de_DE.UTF-8 UTF-8' >/etc/locale.gen && locale-gen && "
        "printf 'LANG=de_DE.UTF-8\\nLANGUAGE=de\\nLC_ALL=de_DE.UTF-8\\n' >/etc/default/locale && "
        "cp /etc/default/locale /etc/environment",
        timeout=600,
    )
    assert "Passwort" in host.ssh("sudo -n true", check=False).stderr
    return host


def test_preflight_knows_what_a_german_sudo_says(german: Host, playbook: Playbooks) -> None:
    none = {"ansible_become_password": ""}
    run = playbook(PLAY, [german], *PREFLIGHT, expect_rc=None, extra_vars=none)
    refused(run, "sudo wants a password", "--ask-become-pass")
    wrong = {"ansible_become_password": "wrong"}
    run = playbook(PLAY, [german], *PREFLIGHT, expect_rc=None, extra_vars=wrong)
    refused(run, "sudo refused the password given", "correct ansible_become_password")
    german.run("mv /etc/sudoers.d/ops /root/ops.sudoers")
    try:
        run = playbook(PLAY, [german], *PREFLIGHT, expect_rc=None)
        refused(run, "sudo does not allow this user to become root", "add ops to the sudoers")
    finally:
        german.run("mv /root/ops.sudoers /etc/sudoers.d/ops")


def test_the_roles_converge_on_it_and_then_change_nothing(
    german: Host, playbook: Playbooks
) -> None:
    playbook(PLAY, [german])
    playbook(PLAY, [german]).assert_unchanged()


def test_a_deploy_from_a_path_with_a_blank_under_a_chinese_locale(
    german: Host, tmp_path: Path
) -> None:
    checkout = tmp_path / "a checkout"
    left = shutil.ignore_patterns(
        ".git", ".venv*", ".lab", "build", "reports", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, checkout, ignore=left)
    hosts = inventory.write(checkout / "my hosts.yml", [german])
    chinese = {"LANG": "zh_CN.UTF-8", "LC_ALL": "zh_CN.UTF-8", "LANGUAGE": "zh_CN:zh"}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PPOCR_")}
    done = subprocess.run(
        [str(checkout / "scripts/deploy"), "-i", str(hosts)],
        cwd=tmp_path, env={**outside, **chinese, "PPOCR_CACHE": str(tmp_path / "cache")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "PASSED german" in done.stdout


def test_packages_that_do_not_come_say_what_to_do(german: Host, playbook: Playbooks) -> None:
    dead = {"ppocr_apt_mirror": "http://mirror.invalid/debian"}
    german.run("systemctl stop docker.socket docker; mv /usr/sbin/dockerd /root/dockerd")
    try:
        run = playbook(PLAY, [german], expect_rc=None, extra_vars=dead)
        assert run.rc and "name a mirror (ppocr_apt_mirror) or a proxy" in words(run)
    finally:
        german.run("mv /root/dockerd /usr/sbin/dockerd; systemctl start docker")


def test_ship_image_knows_what_a_german_sudo_says(german: Host, tmp_path: Path) -> None:
    parcel.image(ONE, [parcel.noise(1, 7), b"one"])
    ship = Shipper(tmp_path, [german])
    row = ship(ONE, "german", status=4)["german"]
    assert "sudo asks for a password: run with --ask-sudo-password" in row["error"]
    wrong = ship.asked(["wrong"], ONE, "german", "-K", status=4)["german"]
    assert "sudo refuses the password" in wrong["error"]
    german.run("mv /etc/sudoers.d/ops /root/ops.sudoers")
    try:
        row = ship.asked([german.keys.password], ONE, "german", "-K", status=4)["german"]
        assert "is not allowed to become root" in row["error"]
    finally:
        german.run("mv /root/ops.sudoers /etc/sudoers.d/ops")
    german.run("systemctl stop docker.socket docker")
    try:
        row = ship.asked([german.keys.password], ONE, "german", "-K", status=3)["german"]
        assert "no Docker engine answers" in row["error"]
    finally:
        german.run("systemctl start docker")
    assert ship.asked([german.keys.password], ONE, "german", "-K")["german"]["changed"]
    assert parcel.layers(german, ONE) == parcel.layers(None, ONE)
    german.run(f"docker image rm {ONE}; rm -rf {STAGING}")
