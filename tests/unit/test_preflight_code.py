"""What preflight reads from procfs, and the sentence it makes of a refused sudo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from role_code import load
from test_inventory_check import run_play

from ppocr_control.messages import catalogue

access = load("plugins/action/preflight_access.py")
ports = load("plugins/modules/preflight_ports.py")
resources = load("plugins/modules/preflight_resources.py")
preflight = load("plugins/filter/preflight.py")

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:22A2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 0100007F:22A2 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4713 1
"""
LABEL = "org.ppocr.content"


def test_reads_listening_sockets_only() -> None:
    assert ports.parse_listeners(TCP) == [("127.0.0.1", 8866, "4711"), ("0.0.0.0", 22, "4712")]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000000000000000000000000000:22A2", ("::", 8866)),
        ("00000000000000000000000001000000:0050", ("::1", 80)),
        ("0000000000000000FFFF00000100007F:0050", ("127.0.0.1", 80)),
    ],
)
def test_reads_addresses_of_ipv6_tables(text: str, address: tuple[str, int]) -> None:
    assert ports.hex_address(text) == address


def test_finds_the_process_that_listens() -> None:
    code = (
        "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen();"
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout and process.stdin
        port = int(process.stdout.readline())
        sockets = ports.listeners()
        owners = ports.socket_owners([inode for _ip, number, inode in sockets if number == port])
        text, container = ports.holder(port, "0.0.0.0", sockets, owners, [])
        process.stdin.close()
    assert f"(PID {process.pid}: " in text and text.startswith("process python")
    assert container is None


def test_a_listener_on_another_address_is_no_conflict() -> None:
    sockets = [("10.0.0.5", 8866, "1")]
    assert ports.holder(8866, "127.0.0.1", sockets, {}, []) is None
    held = (ports.describe_process(None), None)
    assert ports.holder(8866, "0.0.0.0", sockets, {}, []) == held


def test_names_the_container_behind_a_port_no_process_shows() -> None:
    web = {"id": "f" * 64, "name": "web", "labels": {}, "ports": [("0.0.0.0", 8866)]}
    assert ports.holder(8866, "0.0.0.0", [], {}, [web]) == ("container web", web)


@pytest.mark.parametrize(
    ("name", "labels", "ours"),
    [
        ("ppocr", {}, True),
        ("ppocr-old", {LABEL: "x"}, True),
        ("ppocr-old", {}, False),
        ("ppocrat", {LABEL: "x"}, False),
        ("web", {LABEL: "x"}, False),
        ("det", {LABEL: "x", "org.ppocr.instance": "det"}, True),
        ("det-edge", {"org.ppocr.edge": "det"}, True),
        ("det-edge-previous", {"org.ppocr.edge": "det"}, True),  # a run was killed
        ("web", {LABEL: "x", "org.ppocr.instance": "det"}, False),  # of an image committed from it
    ],
)
def test_knows_our_own_containers(name: str, labels: dict[str, str], ours: bool) -> None:
    container = {"name": name, "labels": labels}
    assert ports.is_ours(container, "ppocr", ["ppocr"], LABEL) is ours


@pytest.mark.parametrize(
    "line", ["4:memory:/docker/{id}", "0::/system.slice/docker-{id}.scope", "1:cpu:/x/{id}"]
)
def test_finds_the_container_in_a_cgroup(line: str) -> None:
    assert ports.container_id_in(line.format(id="ab" * 32)) == "ab" * 32
    assert ports.container_id_in("0::/init.scope") == ""


def test_no_engine_means_no_containers(tmp_path) -> None:
    assert ports.containers(str(tmp_path / "none.sock")) == []
    path = str(tmp_path / "mute.sock")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(path)  # bound and not listening: refuses connections
        assert ports.containers(path) == []
        assert resources.ask_engine(path, "/info") is None


def test_disk_is_measured_where_docker_would_put_its_data(tmp_path) -> None:
    assert resources.configured_root('{"data-root": "/srv/d"}') == "/srv/d"
    assert resources.configured_root('{"data-root": ') == ""
    assert resources.nearest_existing(str(tmp_path / "a/b/c")) == str(tmp_path)


def test_memory_and_controllers() -> None:
    assert resources.memory_mb("MemTotal:       2048000 kB\nMemFree: 1 kB\n") == 2000
    v1 = "#subsys_name hierarchy num_cgroups enabled\nmemory 4 60 0\npids 5 60 1\n"
    assert resources.cgroup_controllers(v1, "") == ["pids"]
    assert resources.cgroup_controllers("", "cpu memory pids\n") == ["cpu", "memory", "pids"]


def test_reads_what_the_probe_prints() -> None:
    text = "Welcome!\nuser=ops\nuid=1000\nsudo=yes\npython=/usr/bin/python3 3.11\n"
    assert access.parse_probe(text + "python=python3.9 3.9\n") == {
        "user": "ops",
        "uid": 1000,
        "sudo": True,
        "pythons": [("/usr/bin/python3", (3, 11)), ("python3.9", (3, 9))],
    }


@pytest.mark.parametrize("entry", catalogue.entries("become"), ids=lambda entry: entry.id)
def test_one_sentence_for_each_way_sudo_refuses(entry: catalogue.Entry) -> None:
    sentence = f"User ops cannot become root on this host: {entry.advice()}."
    for sample in entry.samples:
        assert access.become_remedy("ops", "sudo", sample, False) == sentence


def test_another_way_to_become_root_is_called_by_its_name() -> None:
    sentence = access.become_remedy("ops", "doas", "doas: a password is required", False)
    assert "doas wants a password" in sentence and "--ask-sudo-password" in sentence


def test_an_unknown_refusal_is_quoted() -> None:
    sentence = access.become_remedy("ops", "sudo", "segmentation fault", False)
    assert "failed (segmentation fault); try `sudo id` as ops" in sentence


def test_the_probe_runs_in_a_plain_shell() -> None:
    probe = access._PROBE.replace("{pythons}", f"{sys.executable} /no/python").replace(
        "{code}", access._VERSION_CODE
    )
    done = subprocess.run(["/bin/sh", "-c", probe], capture_output=True, text=True, check=True)
    found = access.parse_probe(done.stdout)
    assert found["uid"] == os.getuid()
    assert found["pythons"] == [(sys.executable, sys.version_info[:2])]


@pytest.mark.parametrize(
    ("flags", "image", "lacks"),
    [
        (["sse4_2"], "without", ""),
        (["sse4_2"], "with", "AVX, which PaddlePaddle needs"),
        (["avx", "sse4_2"], "with", ""),
        ([], "without", "SSE4.2, which OpenVINO needs"),
    ],
)
def test_a_cpu_needs_what_the_engine_of_its_image_needs(
    flags: list[str], image: str, lacks: str
) -> None:
    assert preflight.preflight_cpu_lacks(flags, image) == lacks


@pytest.mark.slow
def test_this_machines_cpu_is_asked_for_by_the_image_of_its_settings(tmp_path: Path) -> None:
    play = """
- hosts: ppocr_hosts
  gather_facts: false
  vars: {ansible_facts: {architecture: x86_64}}
  tasks:
    - ansible.builtin.include_role: {name: preflight, tasks_from: resources}
"""
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "preflight_min_free_mb": 0,
        "preflight_min_free_again_mb": 0,
        "preflight_min_memory_mb": 0,
    }
    hosts = {"plain": here, "paddle": here | {"ppocr_image_paddle": "with"}}
    said = run_play(tmp_path, play, hosts)[1]
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii").split()
    assert ("shows no SSE4.2, which OpenVINO needs" in said) == ("sse4_2" not in flags), said
    assert ("shows no AVX, which PaddlePaddle needs" in said) == ("avx" not in flags), said
    assert said.count("failed=0") == ("sse4_2" in flags) + ("avx" in flags), said
