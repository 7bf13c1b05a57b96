"""The lab itself: its hosts behave like the ones a deploy will meet.

Run by ``scripts/test --full`` only, and by whoever changes hostlab.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from hostlab import Host, HostSpec, LabError, Playbooks, tiny
from hostlab.playbook import Recap

pytestmark = pytest.mark.full

SPECS = (
    HostSpec("web1", suite="bookworm", user="root", port=22),
    HostSpec("web2", suite="trixie", user="ops", port=2222),
)


@pytest.fixture(scope="module")
def pair(lab) -> list[Host]:
    return lab.hosts(*SPECS)


@pytest.fixture(params=[spec.name for spec in SPECS])
def host(request, pair) -> Host:
    return next(host for host in pair if host.name == request.param)


def test_boots_without_a_failed_unit(host: Host) -> None:
    assert host.wait_for("systemctl is-system-running").strip() == "running"


def test_takes_ssh_as_its_user_who_may_become_root(host: Host) -> None:
    assert host.ssh("whoami").stdout.strip() == host.user
    assert host.ssh("sudo -n id -u").stdout.strip() == "0"


def test_refuses_a_stranger(host: Host) -> None:
    stranger = [part if part != str(host.key) else "/dev/null" for part in host.ssh_command()]
    done = subprocess.run([*stranger, "true"], capture_output=True, text=True)
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


def test_runs_its_own_engine_with_a_published_port(host: Host) -> None:
    tiny.serve(host, 8080, "published")
    assert requests.get(f"http://{host.address}:8080/etc/", timeout=10).status_code == 200
    assert (
        "published"
        not in subprocess.run(["docker", "ps"], capture_output=True, text=True, check=True).stdout
    )
    host.run("docker rm -f published")


def test_memory_limit_of_a_nested_container_holds(host: Host) -> None:
    image = tiny.make(host)
    done = host.run(f"docker run --rm -m 32m {image} -c 'x = bytearray(200_000_000)'", check=False)
    assert done.returncode == 137


def test_ansible_reaches_both(pair: list[Host], playbook: Playbooks, tmp_path: Path) -> None:
    ping = tmp_path / "ping.yml"
    ping.write_text(
        "- name: Reach the hosts\n  hosts: ppocr_hosts\n  become: true\n  gather_facts: false\n"
        "  tasks:\n    - name: Answer\n      ansible.builtin.ping:\n"
        "    - name: Change\n      ansible.builtin.command: id -u\n"
    )
    run = playbook(str(ping), pair)
    assert run.recap == {host.name: Recap(ok=2, changed=1) for host in pair}
    assert sorted(run.changed) == [(host.name, "Change") for host in pair]
    with pytest.raises(AssertionError, match="Change"):
        run.assert_unchanged()


def test_a_run_can_be_cut_off(pair: list[Host], playbook: Playbooks, tmp_path: Path) -> None:
    slow = tmp_path / "slow.yml"
    slow.write_text(
        "- name: Take long\n  hosts: ppocr_hosts\n  gather_facts: false\n  tasks:\n"
        "    - name: Reach\n      ansible.builtin.ping:\n"
        "    - name: Sleep\n      ansible.builtin.command: sleep 300\n"
    )
    running = playbook.start(str(slow), pair)
    running.wait_for("TASK [Sleep]", timeout=60)
    run = running.kill()
    assert (run.rc, run.recap) == (-9, {})
    here = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(slow) not in here


def test_comes_back_from_a_reboot_and_a_pulled_cable(host: Host) -> None:
    host.put("/var/lib/kept", "kept\n")
    host.reboot()
    assert host.ssh("cat /var/lib/kept").stdout == "kept\n"
    names = host.read("/etc/resolv.conf")
    host.unplug()
    with pytest.raises(LabError):
        host.ssh("true", timeout=3)
    host.plug()
    host.ssh("true", timeout=30)
    assert host.read("/etc/resolv.conf") == names


def test_a_host_without_a_way_out(fresh_host: Callable[..., Host], pair: list[Host]) -> None:
    alone = fresh_host("alone", network="internal", engine="none", sudo="none", user="ops")
    assert alone.ssh("sudo -n true", check=False).returncode != 0
    reach = f"timeout 3 bash -c '</dev/tcp/{pair[0].address}/22'"
    assert alone.run(reach, check=False).returncode != 0
    assert alone.run("timeout 20 apt-get -o Acquire::Retries=0 update 2>&1 | grep -c '^Err'")
    assert alone.run("command -v docker", check=False).returncode != 0


def test_limits_and_passwords(
    fresh_host: Callable[..., Host], playbook: Playbooks, tmp_path: Path
) -> None:
    small = fresh_host(
        "small", user="ops", sudo="password", memory_mb=512, disks={"/var/lib/docker": 64}
    )
    assert small.ssh("sudo -n true", check=False).returncode != 0
    assert small.run("df -m --output=size /var/lib/docker | tail -1").stdout.strip() == "64"
    limit = "cd /sys/fs/cgroup && cat memory.max 2>/dev/null || cat memory/memory.limit_in_bytes"
    assert small.run(limit).stdout.strip() == str(512 << 20)
    with pytest.raises(LabError, match="no space left on device"):
        small.run("head -c 100M /dev/urandom >/opt/big && tar -c /opt/big | docker import - big")
    who = tmp_path / "who.yml"
    who.write_text(
        "- name: Become root\n  hosts: ppocr_hosts\n  become: true\n  gather_facts: false\n"
        "  tasks:\n    - name: Change\n      ansible.builtin.command: id -u\n"
    )
    playbook(str(who), [small])


def test_two_hosts_of_one_name_are_refused(pair: list[Host], lab) -> None:
    with pytest.raises(LabError, match="is there already"):
        lab.host("web1", suite="trixie")


def test_hosts_answer_at_the_same_time(pair: list[Host]) -> None:
    with ThreadPoolExecutor() as pool:
        names = list(pool.map(lambda host: host.ssh("hostname").stdout.strip(), pair))
    assert names == [host.name for host in pair]
