"""A deploy that refuses settings touches no host: one run over a host for each of them.

None of the hosts exists: a host that is reached for would be unreachable, not failed. One refusal
is tried on a host that serves (tests/lab/test_deploy.py).
"""

from __future__ import annotations

import json

import pytest
from plays import run_play
from role_code import ROOT

from tests.tiers import first_by_default

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
    "server": (
        {"hubserving_server": "hub", "hubserving_network": "host", "hubserving_tokens": ["a"]},
        "plain hub serving knows no hubserving_tokens",
    ),
    "engine": (
        {"ppocr_device": "gpu", "hubserving_engine": "openvino"},
        "the image for it carries onnxruntime or paddle. Leave hubserving_engine out",
    ),
    "model": (
        {"ppocr_models": {"det": {"path": "/etc"}}},
        "lacks inference.pdmodel or inference.json",
    ),
    "model_engine": (
        {
            "ppocr_models": "PP-OCRv6-small",
            "hubserving_instances": [
                {"name": "one", "port": 8866},
                {"name": "two", "port": 8867, "engine": "paddle"},
            ],
        },
        "ppocr_models.det: the engine paddle (Paddle 2.6) reads inference.pdmodel only",
    ),
    "recognizer": (
        {"hubserving_recognizers": {"latin": "PP-OCRv6-tiny"}, "hubserving_engine": "paddle"},
        "hubserving_recognizers.latin: the engine paddle (Paddle 2.6) reads inference.pdmodel only",
    ),
    "card": (
        {"ppocr_device": "gpu", "ppocr_cuda_visible_devices": ""},
        "ppocr_cuda_visible_devices is empty, and modules that use the GPU end with KeyError",
    ),
}
# A run has one image, so one set of models, and hosts of one kind.
OWN_RUN = ("model", "model_engine", "recognizer", "card", "workers")


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


BALANCERS: dict[str, tuple[dict, str]] = {
    "same port": (
        {"h1": {"balancer_port_offset": 0}},
        "is to serve instance ppocr at port 8866, which is also the hubserving_port",
    ),
    "no address": ({"b1": {}, "b2": {}}, "balancer_virtual_address is empty. Several balancers"),
    "two addresses": (
        {
            "b1": {"balancer_virtual_address": "192.0.2.8/24"},
            "b2": {"balancer_virtual_address": "192.0.2.9/24"},
        },
        "different values of balancer_virtual_address",
    ),
    "a name": (
        {
            "b1": {"balancer_virtual_address": "192.0.2.8/24", "balancer_address": "192.0.2.1"},
            "b2": {"balancer_virtual_address": "192.0.2.8/24"},
        },
        "b2 is host.invalid for the other balancers, which reach each other by IP addresses",
    ),
    "no certificate": (
        {"b1": {"balancer_tls_cert": "/no/such.pem"}},
        "balancer_tls_cert is /no/such.pem, and there is no such file",
    ),
    "misspelt": ({"b1": {"balancer_prots": {}}}, "did you mean balancer_ports"),
}


@pytest.mark.parametrize("name", first_by_default(BALANCERS))
def test_a_deploy_refuses_balancers_before_it_connects(tmp_path, name: str) -> None:
    balancers, says = BALANCERS[name]
    there = {"ansible_host": "host.invalid"}
    beside = tmp_path / "balancers.json"
    group = {"hosts": {host: {**there, **own} for host, own in balancers.items()}}
    beside.write_text(json.dumps({"ppocr_balancers": group}))
    status, output = run_play(tmp_path, DEPLOY, {"h1": there, "h2": there}, "-i", str(beside))
    assert status == 2 and says in output, output
    assert "TASK [preflight" not in output and "unreachable=1" not in output
