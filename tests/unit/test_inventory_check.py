"""What inventory_check makes of names, types and values, without any host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plays import run_play
from role_code import ROOT, load

settings = load("plugins/action/inventory_check_settings.py")
PLAY = """
- name: Check
  hosts: ppocr_hosts
  gather_facts: false
  roles: [inventory_check]
"""


def test_names_a_misspelt_setting_and_the_nearest_one() -> None:
    known = ["ppocr_device", "hubserving_port", "hubserving_workers"]
    names = ["ppocr_devise", "hubserving_porrt", "hubserving_port", "other_port", "ansible_host"]
    assert settings.unknown_names(names, known, ["ppocr_", "hubserving_"]) == {
        "ppocr_devise": "ppocr_device",
        "hubserving_porrt": "hubserving_port",
    }


def test_lets_names_through_that_are_the_users_own() -> None:
    names = ["timezone_ntp_servers", "timezone_x"]
    assert settings.unknown_names(names, [], ["timezone_"], ["timezone_x"]) == {
        "timezone_ntp_servers": ""
    }


@pytest.mark.parametrize(
    ("value", "option", "says"),
    [
        ("tpu", {"type": "str", "choices": ["cpu", "gpu"]}, "must be one of: cpu, gpu, got: tpu"),
        ("many", {"type": "int"}, "unable to convert to int"),
        ([1], {"type": "dict"}, "unable to convert to dict"),
        ({"a": 1}, {"type": "dict", "options": {"b": {"type": "str"}}}, "a"),
    ],
)
def test_says_what_is_wrong_with_a_value(value: object, option: dict, says: str) -> None:
    assert says in settings.type_error("x", value, option)


@pytest.mark.parametrize(
    ("value", "option"),
    [("8866", {"type": "int"}), (None, {"type": "int"}), ("x", {"type": "str", "required": True})],
)
def test_takes_what_ansible_would_take(value: object, option: dict) -> None:
    assert settings.type_error("x", value, option) == ""


def test_hides_values_that_may_hold_a_secret() -> None:
    assert "hunter2" not in settings.shown("ppocr_proxy", "http://me:hunter2@proxy:3128")


GPU_CONFIG = ROOT / "tests/unit/data/gpu_config.json"
CASES: dict[str, tuple[dict, str]] = {
    "misspelt": ({"ppocr_devise": "gpu"}, "did you mean ppocr_device?"),
    "choice": ({"ppocr_device": "tpu"}, "must be one of: cpu, gpu"),
    "zone": ({"ppocr_timezone": "Asia/Shangai"}, "The time zone Asia/Shangai"),
    "ca": ({"ppocr_ca_bundle": "/no/such.pem"}, "ppocr_ca_bundle is /no/such.pem"),
    "bundle": ({"ppocr_bundle_dir": "relative"}, "ppocr_bundle_dir is relative"),
    "proxy": ({"ppocr_proxy": "proxy:3128"}, "ppocr_proxy is not a URL"),
    "relay": (
        {"ppocr_image_relay": "far9"},
        "ppocr_image_relay of relay is far9, and no host of the inventory",
    ),
    "module": ({"hubserving_modules": ["ocr_dte"]}, "unknown: ocr_dte"),
    "parameter": (
        {"hubserving_params": {"rec_batch_num": 0}},
        "rec_batch_num: 0 is not from 1 to 1000",
    ),
    "correction_memory": (
        {
            "hubserving_modules": ["ocr_system", "text_correction"],
            "hubserving_memory_limit": "560m",
        },
        "1 worker cannot start with less than 640 MB",
    ),
    "no_module": ({"hubserving_modules": []}, "has to serve something"),
    "processes": (
        {"ppocr_device": "gpu", "hubserving_use_multiprocess": True},
        "Set hubserving_use_multiprocess to false",
    ),
    "gpu_service_cpu_image": ({"hubserving_use_gpu": True}, "the service would find no GPU"),
    "cpu_service_gpu_image": (
        {"ppocr_device": "gpu", "hubserving_use_gpu": False},
        "the service would run on the CPU of a GPU host",
    ),
    "gpu_engine": (
        {"ppocr_device": "gpu", "hubserving_engine": "openvino"},
        "the image for it carries onnxruntime or paddle",
    ),
    "cpu_engine": ({"hubserving_engine": "onnxruntime"}, "carries openvino or paddle"),
    "gpu_engines": (
        {
            "ppocr_device": "gpu",
            "hubserving_engine": "paddle",
            "hubserving_instances": [
                {"name": "aa", "port": 1},
                {"name": "bb", "port": 2, "engine": "onnxruntime"},
            ],
        },
        "an image for GPUs carries one engine",
    ),
    "own_engine": (  # an empty one is the device's own, not hubserving_engine
        {
            "ppocr_device": "gpu",
            "hubserving_engine": "paddle",
            "hubserving_instances": [
                {"name": "aa", "port": 1},
                {"name": "bb", "port": 2, "engine": ""},
            ],
        },
        "an image for GPUs carries one engine",
    ),
    "cards_twice": (
        {"ppocr_device": "gpu", "hubserving_environment": {"CUDA_VISIBLE_DEVICES": "0"}},
        "hubserving_environment sets CUDA_VISIBLE_DEVICES",
    ),
    "ports": (
        {"hubserving_instances": [{"name": "aa", "port": 1}, {"name": "bb", "port": "1"}]},
        "the same port (1, 1)",
    ),
    "names": (
        {"hubserving_instances": [{"name": "aa", "port": 1}, {"name": "aa", "port": 2}]},
        "the same name (aa, aa)",
    ),
    "pdserving_hub": (
        {"hubserving_pdserving": True, "hubserving_server": "hub"},
        "hubserving_pdserving is true, and plain hub serving has no such path",
    ),
    "pdserving_port": (
        {"hubserving_pdserving": True, "hubserving_pdserving_port": 8866},
        "Port 8866 is that of ppocr for clients of pdserving (hubserving_pdserving_port), and",
    ),
    "pdserving_twice": (
        {
            "hubserving_pdserving": True,
            "hubserving_instances": [{"name": "aa", "port": 1}, {"name": "bb", "port": 2}],
        },
        "Port 9998 is that of aa for clients of pdserving",
    ),
    "edge_of_another": (
        {"hubserving_instances": [{"name": "aa", "port": 1}, {"name": "aa-edge", "port": 2}]},
        "aa-edge in hubserving_instances is the name that a container of another entry has",
    ),
    "range": ({"hubserving_instances": [{"name": "aa", "port": 99999}]}, "from 1 to 65535"),
    "config_file": ({"hubserving_config_file": "/no/config.json"}, "no such file on the control"),
    "config_for_a_gpu": (
        {"hubserving_config_file": str(GPU_CONFIG), "hubserving_modules": ["ocr_system"]},
        "config.json sets use_gpu to true and ppocr_device is cpu",
    ),
    "plain_port": ({"hubserving_port": 88666}, "hubserving_port is outside its range"),
    "plain": ({}, ""),
    "pdserving": ({"hubserving_pdserving": True}, ""),
    "pdserving_of_one": (
        {
            "hubserving_instances": [
                {"name": "aa", "port": 1},
                {"name": "bb", "port": 2, "pdserving": True},
            ]
        },
        "",
    ),
    "own_module": (
        {"ppocr_image_extra_modules": [str(ROOT / "tests")], "hubserving_modules": ["tests"]},
        "",
    ),
    "several": (
        {"hubserving_instances": [{"name": "a1", "port": 8866}, {"name": "a2", "port": 8867}]},
        "",
    ),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory) -> str:
    """One run over a host for each case. None of them exists: reaching for it would fail."""
    hosts = {name: {"ansible_host": "host.invalid", **case[0]} for name, case in CASES.items()}
    return run_play(tmp_path_factory.mktemp("inventory"), PLAY, hosts)[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_role_refuses_before_it_connects(refusals: str, name: str) -> None:
    says = CASES[name][1]
    assert says in refusals, refusals
    recap = refusals.rpartition("PLAY RECAP")[2]
    assert f"{name} : ok=" in recap
    assert ("failed=0" if not says else "failed=1") in recap.split(f"{name} : ")[1][:80]
    assert "unreachable=1" not in recap


@pytest.mark.slow
def test_an_image_of_a_bundle_may_have_further_modules(tmp_path: Path) -> None:
    image = {"content": "0" * 64, "path": "image.tar", "paddle": "with"}
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"image": image}))
    host = {"ppocr_bundle_dir": str(tmp_path), "hubserving_modules": ["ocr_system", "mine"]}
    status, output = run_play(tmp_path, PLAY, {"h1": host})
    assert status == 0, output


@pytest.mark.slow
def test_cpu_and_gpu_hosts_are_two_runs(tmp_path: Path) -> None:
    hosts = {"h1": {}, "h2": {"ppocr_device": "gpu"}}
    status, output = run_play(tmp_path, PLAY, hosts)
    assert status and "This run has hosts with ppocr_device cpu and gpu" in output
    assert "make two, with --limit or ppocr_target" in output


#: What does not go with a swarm, by the words that name it.
NOT_IN_A_SWARM: dict[str, dict] = {
    "hubserving_instances": {"hubserving_instances": [{"name": "aa", "port": 1}]},
    "hubserving_network: host": {"hubserving_network": "host"},
    "hubserving_privileged": {"hubserving_privileged": True},
    "edge_enabled: false": {"edge_enabled": False},
    "live-restore": {"docker_engine_daemon_config": {"live-restore": True}},
    "nvidia_container_toolkit_mode: cdi": {"nvidia_container_toolkit_mode": "cdi"},
    "GPU hosts run one task each": {"ppocr_device": "gpu", "ppocr_replicas": 2},
}


@pytest.mark.full
@pytest.mark.slow
def test_what_does_not_go_with_a_swarm_is_named(tmp_path: Path) -> None:
    hosts = {f"h{number}": values for number, values in enumerate(NOT_IN_A_SWARM.values())}
    of_all = json.dumps({"ppocr_cluster": "swarm"})
    status, output = run_play(tmp_path, PLAY, {**hosts, "good": {}}, "-e", of_all)
    assert status
    for host, name in zip(hosts, NOT_IN_A_SWARM, strict=True):
        refusal = output.partition(f"[{host}]: Check that its settings go with a swarm: ")[2]
        assert name in refusal.partition("fatal:")[0], output
    assert "failed=0" in output.rpartition("good : ")[2][:80]
    status, output = run_play(tmp_path, PLAY, {"h1": {}, "h2": {"ppocr_cluster": "swarm"}})
    assert status and "This run has hosts with ppocr_cluster none and swarm" in output


@pytest.mark.slow
@pytest.mark.parametrize("playbook", ["build", "bundle"])
def test_one_image_is_built_for_one_kind_of_hosts(tmp_path: Path, playbook: str) -> None:
    play = f"- import_playbook: {ROOT}/playbooks/{playbook}.yml"
    hosts = {"h1": {"ansible_host": "host.invalid"}, "h2": {"ppocr_device": "gpu"}}
    status, output = run_play(tmp_path, play, hosts)
    assert status and "This run has hosts with ppocr_device cpu and gpu" in output


@pytest.mark.slow
def test_one_image_has_one_set_of_models(tmp_path: Path) -> None:
    play = f"- import_playbook: {ROOT}/playbooks/build.yml"
    hosts = {"h1": {"hubserving_recognizers": {"latin": "PP-OCRv6-tiny"}}, "h2": {}}
    status, output = run_play(tmp_path, play, hosts)
    assert status and "hubserving_recognizers is not the same for all hosts" in output


@pytest.mark.slow
def test_a_models_sha256_that_is_none_is_refused(tmp_path: Path) -> None:
    source = {"url": "https://example.com/m.tar", "sha256": "abc"}
    status, output = run_play(tmp_path, PLAY, {"h1": {"ppocr_models": {"det": source}}})
    assert status and "ppocr_models.det.sha256: 'abc' is not a sha256" in output.replace("''", "'")


@pytest.mark.slow
@pytest.mark.full
def test_a_service_anybody_may_use_is_said_once(tmp_path: Path) -> None:
    hosts = {
        "open1": {},
        "open2": {"hubserving_instances": [{"name": "aa", "port": 1, "bind": "[::]"}]},
        "token": {"hubserving_tokens": ["0" * 32]},
        "network": {"hubserving_allow_networks": ["10.0.0.0/8"]},
        "loopback": {"hubserving_bind": "127.0.0.1"},
    }
    status, output = run_play(tmp_path, PLAY, hosts)
    assert status == 0 and "changed=1" not in output, output
    assert output.count("Anybody who reaches the port may use the service of open1, open2:") == 1
    status, output = run_play(tmp_path, PLAY, {"token": hosts["token"]})
    assert status == 0 and "Anybody who reaches" not in output


@pytest.mark.slow
def test_an_old_ansible_is_refused(tmp_path: Path) -> None:
    wanted = "inventory_check_min_ansible=99"
    status, output = run_play(tmp_path, PLAY, {"h1": {}}, "-e", wanted)
    assert status and "is older than 99" in output


@pytest.mark.slow
def test_an_inventory_without_hosts_is_refused(tmp_path: Path) -> None:
    control = """
- name: Check the control node
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Check
      ansible.builtin.include_role:
        name: inventory_check
        tasks_from: control
"""
    status, output = run_play(tmp_path, control, {})
    assert status and "ppocr_hosts matches no host" in output
    assert run_play(tmp_path, control, {"h1": {}})[0] == 0
