"""What module nvidia_driver_probe says of hosts that cannot give the cards that are asked for.

The answers come from nvidia-smi of the lab's pretended hosts (tests/lab/hostlab/nvidia.py), so that
these cases and those of tests/lab/test_gpu.py have the same words of NVIDIA.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from role_code import ROOT, load

from tests.lab.hostlab import nvidia

ROLE = "roles/nvidia_container_toolkit"
probe = load("plugins/modules/nvidia_driver_probe.py")
OLDEST = yaml.safe_load((ROOT / ROLE / "defaults/main.yml").read_text())[
    "nvidia_container_toolkit_min_driver"
]


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``pretend(...)`` as hostlab's: an nvidia-smi with these cards is the first on PATH."""

    class Here:
        """Takes what hostlab would put on a host."""

        def put(self, path: str, content: str | Path, mode: str = "0644") -> None:
            text = content.read_text() if isinstance(content, Path) else content
            text = text.replace(nvidia.STATE, str(tmp_path / Path(nvidia.STATE).name))
            target = tmp_path / Path(path).name
            target.write_text(text.replace("#!/usr/bin/python3", f"#!{sys.executable}"))
            target.chmod(int(mode, 8))

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(probe, "loaded_version", lambda: "")
    return lambda **driver: nvidia.pretend(Here(), **driver)


@pytest.mark.parametrize(
    ("driver", "visible", "says"),
    [
        (None, "all", ["the host has no nvidia-smi", "or set ppocr_device: cpu for this host"]),
        (
            {"failure": "not loaded"},
            "all",
            ["couldn't communicate with the NVIDIA driver", "Try modprobe nvidia"],
        ),
        (
            {"failure": "mismatch"},
            "all",
            ["Driver/library version mismatch", "its old kernel module still runs. Reboot"],
        ),
        (
            {"failure": "nvml"},
            "all",
            ["Failed to initialize NVML: Unknown Error", "A host with this error needs a reboot"],
        ),
        ({"failure": "no cards"}, "all", ["No devices were found", "finds no card. See dmesg"]),
        (
            {"driver": "440.33.01"},
            "all",
            ["driver 440.33.01 is too old: the image's CUDA 11.8 wants 450.80.02 or newer"],
        ),
        (
            {},
            "0,7",
            [
                "ppocr_cuda_visible_devices names 7. This host has 0 (NVIDIA L4, GPU-00000000-0000",
                "1 (NVIDIA L4, GPU-00000001-0000",
            ],
        ),
        ({}, "GPU-bad", ["ppocr_cuda_visible_devices names GPU-bad. This host has 0 ("]),
        (
            {"instances": 2},
            "0",
            ["card 0 is split into MIG instances", "Name it", "0:1 (1g.10gb, MIG-"],
        ),
        (
            {},
            "",
            ["ppocr_cuda_visible_devices is empty", "KeyError: 'CUDA_VISIBLE_DEVICES'", "0 or 0,1"],
        ),
    ],
    ids=[
        "no-driver",
        "not-loaded",
        "mismatch",
        "nvml",
        "no-cards",
        "too-old",
        "absent",
        "bad-uuid",
        "mig",
        "empty",
    ],
)
def test_refusals_say_cause_and_remedy(
    pretend: Callable[..., None],
    tmp_path: Path,
    driver: dict[str, Any] | None,
    visible: str,
    says: list[str],
) -> None:
    if driver is not None:
        pretend(**driver)
    found = probe.look(visible, OLDEST)
    assert all(text in found["problem"] for text in says), found
    assert found["chosen"] == []


def test_a_driver_that_works_gives_the_cards(pretend: Callable[..., None]) -> None:
    pretend(count=2)
    found = probe.look("all", OLDEST)
    assert found["problem"] == "" and found["driver"] == nvidia.DRIVER
    assert [card["index"] for card in found["chosen"]] == ["0", "1"], json.dumps(found)
