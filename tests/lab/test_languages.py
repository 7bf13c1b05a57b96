"""A host whose sudo, apt, shell and libc speak German: the remedies are the same ones."""

from __future__ import annotations

from pathlib import Path

import parcel
import pytest
from german import german
from hostlab import Host, Playbooks
from parcel import STAGING, Shipper
from test_host_roles import PLAY, refused

ONE = "parcel:german"
__all__ = ["german"]
PREFLIGHT = ("--tags", "preflight")


@pytest.mark.full
def test_preflight_knows_what_a_german_sudo_says(german: Host, playbook: Playbooks) -> None:
    none = {"ansible_become_password": ""}
    run = playbook(PLAY, [german], *PREFLIGHT, expect_rc=None, extra_vars=none)
    refused(run, "sudo wants a password", "--ask-become-pass")
    wrong = {"ansible_become_password": "wrong"}
    run = playbook(PLAY, [german], *PREFLIGHT, expect_rc=None, extra_vars=wrong)
    refused(run, "sudo refuses the given password", "correct ansible_become_password")
    german.run("mv /etc/sudoers.d/ops /root/ops.sudoers")
    try:
        run = playbook(PLAY, [german], *PREFLIGHT, expect_rc=None)
        refused(run, "sudo does not allow this user to become root", "add the user to the sudoers")
    finally:
        german.run("mv /root/ops.sudoers /etc/sudoers.d/ops")


@pytest.mark.full
def test_the_roles_converge_on_it_and_then_change_nothing(
    german: Host, playbook: Playbooks
) -> None:
    playbook(PLAY, [german])
    playbook(PLAY, [german]).assert_unchanged()


def test_ship_image_knows_what_a_german_sudo_says(german: Host, tmp_path: Path) -> None:
    parcel.image(ONE, [parcel.noise(1, 7), b"one"])
    ship = Shipper(tmp_path, [german])
    row = ship(ONE, "german", status=4)["german"]
    assert "sudo wants a password" in row["error"] and "--ask-sudo-password" in row["error"]
    wrong = ship.asked(["wrong"], ONE, "german", "-K", status=4)["german"]
    assert "sudo refuses the given password" in wrong["error"]
    german.run("mv /etc/sudoers.d/ops /root/ops.sudoers")
    try:
        row = ship.asked([german.keys.password], ONE, "german", "-K", status=4)["german"]
        assert "sudo does not allow this user to become root" in row["error"]
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
