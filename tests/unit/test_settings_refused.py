"""A deploy that refuses settings touches no host: one run over a host for each of them.

None of the hosts exists: a host that is reached for would be unreachable, not failed. One refusal
is tried on a host that serves (tests/lab/test_deploy.py).
"""

from __future__ import annotations

import pytest
from role_code import ROOT
from test_inventory_check import run_play

pytestmark = pytest.mark.slow
DEPLOY = f"- ansible.builtin.import_playbook: {ROOT}/playbooks/deploy.yml\n"
SETTINGS: dict[str, tuple[dict, str]] = {
    "misspelt": (
        {"hubserving_params": {"det_db_tresh": 0.2}},
        "unknown parameter det_db_tresh: did you mean det_db_thresh",
    ),
    "module": ({"hubserving_modules": ["ocr_sistem"]}, "unknown: ocr_sistem"),
    "certificate": (
        {"hubserving_tls_cert": "/no/such.pem"},
        "hubserving_tls_cert is /no/such.pem, and there is no such file",
    ),
    "workers": (
        {"ppocr_device": "gpu", "hubserving_server": "hub", "hubserving_workers_per_gpu": 2},
        "hubserving_workers_per_gpu is 2, which needs hubserving_server gunicorn",
    ),
    "engine": (
        {"ppocr_device": "gpu", "hubserving_engine": "openvino"},
        "only paddle runs on NVIDIA GPUs",
    ),
    "model": (
        {"ppocr_models": {"det": {"path": "/etc"}}},
        "lacks inference.pdmodel or inference.json",
    ),
    "card": (
        {"ppocr_device": "gpu", "ppocr_cuda_visible_devices": ""},
        "ppocr_cuda_visible_devices is empty, and modules that use the GPU end with KeyError",
    ),
}
# A run has one image, so one set of models, and hosts of one kind.
OWN_RUN = ("model", "card", "workers")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the deploy of each case printed."""
    folder = tmp_path_factory.mktemp("refused")
    printed = {}
    for names in ([name for name in SETTINGS if name not in OWN_RUN], *([n] for n in OWN_RUN)):
        hosts = {name: {"ansible_host": "host.invalid", **SETTINGS[name][0]} for name in names}
        status, output = run_play(folder, DEPLOY, hosts)
        assert status == 2, output
        printed.update(dict.fromkeys(names, output))
    return printed


@pytest.mark.parametrize("name", SETTINGS)
def test_a_deploy_refuses_before_it_connects(runs: dict[str, str], name: str) -> None:
    output = runs[name]
    assert SETTINGS[name][1] in output, output
    assert "Check the host" not in output  # nor anything after it
    recap = output.rpartition("PLAY RECAP")[2].partition(f" {name} : ")[2][:80]
    assert all(text in recap for text in ("changed=0", "unreachable=0", "failed=1")), recap
