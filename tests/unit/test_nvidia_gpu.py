"""What role nvidia_container_toolkit reads from nvidia-smi, and chooses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plays import run_play
from role_code import ROOT, load

from ppocr_control.messages import catalogue

ROLE = "roles/nvidia_container_toolkit"
gpu = load("src/ppocr_hosts/nvidia_gpu.py")
probe = load("plugins/modules/nvidia_driver_probe.py")
filters = load("plugins/filter/nvidia_container_toolkit.py")
engine = load("src/ppocr_hosts/docker_engine_socket.py")

LISTING = """\
GPU 0: NVIDIA A100-PCIE-40GB (UUID: GPU-aaaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111)
  MIG 3g.20gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA L4 (UUID: GPU-bbbb)
GPU 2: NVIDIA L4 (UUID: GPU-cccc)
"""
CARDS = gpu.parse_cards(LISTING)
WHOLE = gpu.parse_cards("".join(LISTING.splitlines(keepends=True)[3:]))


def test_reads_cards_and_their_instances() -> None:
    assert [card["index"] for card in CARDS] == [0, 1, 2]
    assert CARDS[0]["instances"][1] == {"id": "0:1", "name": "3g.20gb", "uuid": "MIG-2222"}
    assert "0:1 (3g.20gb, MIG-2222), 1 (NVIDIA L4, GPU-bbbb)" in gpu.listed(CARDS)
    assert gpu.parse_cards("No devices were found\n") == []


@pytest.mark.parametrize(
    ("setting", "indexes"),
    [
        (1, ["1"]),
        ("1, 2", ["1", "2"]),
        (["2", 1], ["2", "1"]),
        ("GPU-cccc", ["2"]),
        ("MIG-2222", ["0:1"]),
        ("0:0", ["0:0"]),
    ],
)
def test_chooses(setting: Any, indexes: list[str]) -> None:
    assert [card["index"] for card in gpu.choose(setting, CARDS)] == indexes


def test_all_is_every_card() -> None:
    assert [card["uuid"] for card in gpu.choose("all", WHOLE)] == ["GPU-bbbb", "GPU-cccc"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("", "is empty, and modules that use the GPU end with KeyError: 'CUDA_VISIBLE_DEVICES'"),
        (None, "is empty"),
        ([], "is empty"),
        ("1,", "names '', which is not a card"),
        ("first", "names 'first', which is not a card"),
        ("all,1", "use all alone"),
        ("7", "names 7. This host has 0 (NVIDIA A100-PCIE-40GB, GPU-aaaa)"),
        ("1,GPU-bbbb", "names GPU-bbbb twice"),
        ("0", "card 0 is split into MIG instances"),
        ("all", "card 0 is split into MIG instances"),
        ("MIG-1111,MIG-2222", "a process sees one MIG instance only"),
        ("1,MIG-1111", "a process sees one MIG instance only"),
    ],
)
def test_refuses_what_cannot_be_had(setting: Any, says: str) -> None:
    with pytest.raises(gpu.ChoiceError) as refused:
        gpu.choose(setting, CARDS)
    assert says in str(refused.value)


def test_no_card_at_all_is_refused() -> None:
    with pytest.raises(gpu.ChoiceError):
        gpu.choose("all", [])


@pytest.mark.parametrize(
    ("version", "old"),
    [("440.33.01", True), ("450.80.02", False), ("450.51.05", True), ("535.183.01", False)],
)
def test_compares_drivers(version: str, old: bool) -> None:
    assert gpu.older(version, "450.80.02") is old


@pytest.mark.parametrize(
    "text",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.183.01  Release Build",
    ],
)
def test_reads_the_loaded_kernel_module(tmp_path: Path, text: str) -> None:
    assert probe.loaded_version(tmp_path) == ""
    (tmp_path / "driver/nvidia").mkdir(parents=True)
    (tmp_path / "driver/nvidia/version").write_text(f"{text}\nGCC version: 12.2.0\n")
    assert probe.loaded_version(tmp_path) == "535.183.01"


def test_a_library_newer_than_the_loaded_module_is_refused(monkeypatch) -> None:
    answers = {
        "-L": (0, LISTING),
        "--query-gpu=driver_version": (0, "550.54.15\n550.54.15"),
        "--query-gpu=uuid,compute_cap": (2, 'Field "compute_cap" is not a valid field to query.'),
    }
    monkeypatch.setattr(probe, "ask", lambda *arguments: answers[arguments[0]])
    monkeypatch.setattr(probe, "loaded_version", lambda: "535.183.01")
    problem = probe.look("1", "450.80.02", "11.8")["problem"]
    assert "library is 550.54.15 and its loaded kernel module 535.183.01" in problem
    assert catalogue.find(problem, "gpu").id == "gpu-module-differs"
    monkeypatch.setattr(probe, "loaded_version", lambda: "550.54.15")
    assert probe.look("1", "450.80.02", "11.8")["problem"] == ""


def test_names_cards_for_cdi_as_the_specification_does() -> None:
    by_uuid = {"index": "1", "uuid": "GPU-bbbb", "name": "GPU-bbbb"}
    name = filters.nvidia_container_toolkit_cdi_name
    assert name(by_uuid, ["nvidia.com/gpu=GPU-bbbb"]) == "nvidia.com/gpu=GPU-bbbb"
    assert name(by_uuid, ["nvidia.com/gpu=1"]) == "nvidia.com/gpu=1"
    assert name({**by_uuid, "name": "1"}, ["nvidia.com/gpu=GPU-bbbb"]) == "nvidia.com/gpu=1"


def test_knows_when_a_process_started_and_its_path(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu 1 2\nbtime 1700000000\n")
    (tmp_path / "7").mkdir()
    ticks = " ".join(["S", *["0"] * 18, "250", "0"])
    (tmp_path / "7/stat").write_text(f"7 (a (b) c) {ticks}\n")
    (tmp_path / "7/environ").write_bytes(b"A=1\0PATH=/opt/bin:/bin\0")
    assert engine.process_start(7, tmp_path) == pytest.approx(1700000002.5)
    assert engine.process_path(7, tmp_path) == "/opt/bin:/bin"
    assert engine.process_start(8, tmp_path) == 0
    assert "/usr/bin" in engine.process_path(8, tmp_path)


def test_warnings_of_nvidia_smi_are_no_answer(monkeypatch, tmp_path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\necho 'WARNING: infoROM is corrupted' >&2\n[ $1 = -L ] && exit 3\necho 535.1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert probe.ask("--query-gpu=driver_version") == (0, "535.1")
    assert probe.ask("-L") == (3, "WARNING: infoROM is corrupted")


LIBRARY = f"""
- hosts: ppocr_hosts
  gather_facts: false
  vars_files: [{ROOT / ROLE / "vars/main.yml"}]
  tasks:
    - ansible.builtin.debug:
        msg: "{{{{ inventory_hostname }}}} computes with {{{{ _nvidia_container_toolkit_library.engine }}}}"
"""  # noqa: E501


@pytest.mark.slow
def test_the_engine_of_each_instance_decides(tmp_path: Path) -> None:
    """As it does for the image, which carries what the instances ask for."""
    here = {"ansible_connection": "local"}
    both = [{"name": "one"}, {"name": "two"}]
    hosts = {
        "plain": here,
        "named": {**here, "hubserving_engine": "paddle"},
        "each": {**here, "hubserving_engine": "paddle", "hubserving_instances": both},
        "own": {
            **here,
            "hubserving_engine": "paddle",
            "hubserving_instances": [{**each, "engine": "onnxruntime"} for each in both],
        },
    }
    status, output = run_play(tmp_path, LIBRARY, hosts)
    assert status == 0, output
    for name, engine_name in zip(
        hosts, ("onnxruntime", "paddle", "paddle", "onnxruntime"), strict=True
    ):
        assert f"{name} computes with {engine_name}" in output
