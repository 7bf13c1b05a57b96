"""What module nvidia_driver_probe says of hosts that cannot give the cards that are asked for.

The answers come from nvidia-smi of the lab's pretended hosts (tests/lab/hostlab/nvidia.py), so that
these cases and those of tests/lab/test_gpu.py have the same words of NVIDIA.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from role_code import ROOT, load

from ppocr_contract import cards
from ppocr_control.messages import catalogue
from tests.lab.hostlab import nvidia
from tests.tiers import first_by_default

ROLE = "roles/nvidia_container_toolkit"
probe = load("plugins/modules/nvidia_driver_probe.py")
filters = load("plugins/filter/nvidia_container_toolkit.py")
PADDLE, ONNX_RUNTIME = (cards.LIBRARIES[engine] for engine in ("paddle", "onnxruntime"))
OLDEST = PADDLE.driver, PADDLE.cuda
_NO_KERNELS = (
    "card 0 (NVIDIA L4) has compute capability {}, for which the {} of this image has no kernels "
    "(it has them for {}"
)


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
    ("driver", "visible", "says", "known"),
    [
        pytest.param(None, "all", ["the host has no nvidia-smi"], "gpu-no-driver", id="no-driver"),
        pytest.param(
            {"failure": "not loaded"},
            "all",
            ["couldn't communicate with the NVIDIA driver"],
            "gpu-driver-not-loaded",
            id="not-loaded",
        ),
        pytest.param(
            {"failure": "mismatch"},
            "all",
            ["Driver/library version mismatch"],
            "gpu-versions-differ",
            id="mismatch",
        ),
        pytest.param(
            {"failure": "nvml"},
            "all",
            ["Failed to initialize NVML: Unknown Error"],
            "gpu-lost-by-container",
            id="nvml",
        ),
        pytest.param(
            {"failure": "no cards"},
            "all",
            ["No devices were found"],
            "gpu-none-found",
            id="no-cards",
        ),
        pytest.param(
            {"driver": "440.33.01"},
            "all",
            ["driver 440.33.01 is too old: the image's CUDA 11.8 wants 450.80.02 or newer"],
            "gpu-driver-below-minimum",
            id="too-old",
        ),
        pytest.param(
            {},
            "0,7",
            [
                "ppocr_cuda_visible_devices names 7. This host has 0 (NVIDIA L4, GPU-00000000-0000",
                "1 (NVIDIA L4, GPU-00000001-0000",
            ],
            "gpu-no-such-card",
            id="absent",
        ),
        pytest.param(
            {},
            "GPU-bad",
            ["ppocr_cuda_visible_devices names GPU-bad. This host has 0 ("],
            "gpu-no-such-card",
            id="bad-uuid",
        ),
        pytest.param(
            {"instances": 2},
            "0",
            ["card 0 is split into MIG instances", "Name it", "0:1 (1g.10gb, MIG-"],
            "",
            id="mig",
        ),
        pytest.param(
            {},
            "",
            ["ppocr_cuda_visible_devices is empty", "KeyError: 'CUDA_VISIBLE_DEVICES'"],
            "gpu-cards-not-named",
            id="empty",
        ),
    ],
)
def test_refusals_say_what_the_catalogue_knows(
    pretend: Callable[..., None],
    driver: dict[str, Any] | None,
    visible: str,
    says: list[str],
    known: str,
) -> None:
    if driver is not None:
        pretend(**driver)
    found = probe.look(visible, *OLDEST)
    assert all(text in found["problem"] for text in says), found
    assert found["chosen"] == []
    entry = catalogue.find(found["problem"], "gpu")
    assert (entry.id if entry else "") == known


def test_a_driver_that_works_gives_the_cards(pretend: Callable[..., None]) -> None:
    pretend(count=2)
    found = probe.look("all", *OLDEST)
    assert found["problem"] == "" and found["driver"] == nvidia.DRIVER
    assert [card["index"] for card in found["chosen"]] == ["0", "1"], json.dumps(found)


@pytest.mark.parametrize(
    ("engine", "capability"),
    [
        *(("paddle", capability) for capability in ("6.1", "7.5", "8.0", "8.7", "8.9")),
        *(("onnxruntime", capability) for capability in ("6.0", "8.9", "9.0", "10.3", "12.0")),
    ],
)
def test_cards_the_image_has_kernels_for_are_taken(
    pretend: Callable[..., None], engine: str, capability: str
) -> None:
    pretend(count=2, instances=2, capability=capability)
    found = probe.look("MIG-00000001-0000-4000-8000-0000000000a1", *OLDEST)
    assert [card["capability"] for card in found["chosen"]] == [capability]
    assert filters.nvidia_container_toolkit_unserved(found["chosen"], engine) == ""


def test_a_driver_that_does_not_know_the_question_leaves_it_to_the_container(
    pretend: Callable[..., None],
) -> None:
    pretend(count=1, capability="[N/A]")
    chosen = probe.look("all", *OLDEST)["chosen"]
    assert [card["capability"] for card in chosen] == [""]
    assert filters.nvidia_container_toolkit_unserved(chosen, "onnxruntime") == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "driver", "refusal"),
    first_by_default(
        [
            ("paddle", {"capability": "9.0"}, _NO_KERNELS.format("9.0", "Paddle", "6.1, 7.0")),
            ("", {"capability": "5.2"}, _NO_KERNELS.format("5.2", "ONNX Runtime", "6.0, 7.0")),
            (
                "onnxruntime",
                {"driver": "470.57.02"},
                "the image's CUDA 12.8 wants 525.60.13 or newer",
            ),
            ("paddle", {"driver": "440.33.01"}, "the image's CUDA 11.8 wants 450.80.02 or newer"),
            ("", {"capability": "12.0"}, ""),
        ]
    ),
)
def test_preflight_knows_what_the_engine_asks_of_card_and_driver(
    pretend: Callable[..., None], tmp_path: Path, engine: str, driver: dict[str, Any], refusal: str
) -> None:
    pretend(count=2, **driver)
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [
                {"include_role": {"name": "nvidia_container_toolkit", "tasks_from": "driver.yml"}}
            ],
        }
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    path = f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        [
            *("ansible-playbook", "-i", "localhost,", "-c", "local"),
            *("-e", json.dumps({"hubserving_engine": engine})),
            str(tmp_path / "play.yml"),
        ],
        env={**os.environ, "PATH": path, "ANSIBLE_ROLES_PATH": str(ROOT / "roles")},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    said = " ".join(done.stdout.split())
    assert done.returncode == (2 if refusal else 0), done.stdout + done.stderr
    assert refusal in said
    assert ("Cause and remedy: " in said) is bool(refusal)
