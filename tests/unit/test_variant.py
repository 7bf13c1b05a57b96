"""Which image a host gets: with Paddle where a setting needs it, and why."""

import json
from pathlib import Path

import pytest
from plays import run_play
from role_code import ROOT, load

from ppocr_contract import paddle
from ppocr_control.images import context, variant
from tests import locks

HOST = {"ansible_connection": "local"}
CONFIG = {"modules_info": {"ocr_system": {"init_args": {"engine": "paddle"}}}}
MODULE = """
{line}
from paddlehub.module.module import moduleinfo

@moduleinfo(name="own", version="1.0.0")
class Own:
    pass
"""


def module(folder, line):
    """A module of the operator's with a line of its own."""
    path = folder / "own"
    path.mkdir()
    (path / "module.py").write_text(MODULE.format(line=line))
    return [str(path)]


def chosen(**settings):
    made = variant.choose(settings)
    return made.suffix, made.paddle, made.why


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"hubserving_server": "hub"}, "hubserving_server is hub"),
        ({"hubserving_engine": "paddle"}, "hubserving_engine is paddle"),
        ({"hubserving_command": ["hub", "serving", "start"]}, "hubserving_command is hub"),
        (
            {"hubserving_instances": [{"name": "a"}, {"name": "b", "server": "hub"}]},
            "hubserving_server is hub (instance b)",
        ),
        (
            {"ppocr_image_extra_requirements": ["paddlepaddle==2.5"]},
            "ppocr_image_extra_requirements names paddlepaddle",
        ),
        ({"ppocr_image_paddle": "with"}, "ppocr_image_paddle is with"),
    ],
)
def test_settings_that_need_paddle_get_the_variant(settings, why):
    assert chosen(**settings) == ("-paddle", paddle.WITH, why)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hubserving_server": "gunicorn", "hubserving_engine": "", "hubserving_command": []},
        # An instance's own goes before the host's.
        {
            "hubserving_server": "hub",
            "hubserving_instances": [{"name": "a", "server": "gunicorn"}],
        },
        {"ppocr_image_extra_modules": [str(ROOT / "images/ppocr/modules/ocr_system")]},
    ],
)
def test_others_get_the_image_without(settings):
    assert chosen(**settings) == ("", paddle.WITHOUT, "no setting needs it")


@pytest.mark.parametrize(
    ("settings", "suffix", "has"),
    [
        ({}, "-gpu", paddle.WITHOUT),
        ({"hubserving_engine": "onnxruntime"}, "-gpu", paddle.WITHOUT),
        ({"hubserving_engine": "paddle"}, "-gpu-paddle", paddle.WITH),
        ({"hubserving_server": "hub"}, "-gpu-paddle", paddle.WITH),
    ],
)
def test_a_gpu_has_an_image_of_its_own(settings, suffix, has):
    assert chosen(ppocr_device="gpu", **settings)[:2] == (suffix, has)


def test_a_config_json_counts_as_the_settings_do(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG))
    assert chosen(hubserving_config_file=str(file))[2].endswith("ocr_system has the engine paddle "
                                                                "(hubserving_engine)")  # fmt: skip
    outside = {"modules_info": {"own": {"init_args": {"directory": "/own"}}}}
    file.write_text(json.dumps(outside))
    assert "own has a directory of its own" in chosen(hubserving_config_file=str(file))[2]


def test_the_engines_are_those_of_the_instances_or_of_their_config_json(tmp_path):
    """They decide which models are the default, and what the image for GPUs carries."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG))
    instances = [{"name": "a"}, {"name": "b", "engine": "openvino"}]
    asked = {
        "": {},
        "paddle": {"hubserving_engine": "paddle"},
        "paddle openvino": {"hubserving_engine": "paddle", "hubserving_instances": instances},
        "openvino paddle": {
            "hubserving_engine": "openvino",
            "hubserving_instances": [{"name": "a"}, {"name": "b", "config_file": str(file)}],
        },
    }
    filters = load("plugins/filter/ppocr_image.py")
    assert {" ".join(filters.image_engines([host])): host for host in asked.values()} == asked
    file.write_text("no JSON")
    wrong = {"hubserving_engine": "openvino", "hubserving_config_file": str(file)}
    assert filters.image_engines([wrong]) == ["openvino"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("import ppocr_serving", ""),
        ("import paddlehub", "it is not built on ppocr_serving"),
        ("import ppocr_serving, paddle.nn", "module.py imports paddle.nn"),
        ("import ppocr_serving\nfrom paddlehub import vision", "imports paddlehub.vision"),
        ("import ppocr_serving\nfrom paddlehub.module.cv_module import x", "paddlehub.module.cv_"),
        ("import ppocr_serving\nfrom paddlehub.utils import log", ""),
        ("import ppocr_serving, paddleocr", ""),
    ],
)
def test_a_module_of_ones_own_is_known_by_its_code(tmp_path, line, why):
    folders = module(tmp_path, line)
    suffix, _, said = chosen(ppocr_image_extra_modules=folders)
    assert (suffix, why in said) == ("-paddle" if why else "", True)
    if why:
        assert "module own of ppocr_image_extra_modules needs Paddle" in said
        with pytest.raises(context.ContextError, match="the image would have no Paddle: leave"):
            context.ImageSettings.from_dict({"extra_modules": folders})
    assert context.ImageSettings.from_dict({"extra_modules": folders, "paddle": True})


def test_a_requirement_of_a_module_counts(tmp_path):
    folders = module(tmp_path, "import ppocr_serving")
    Path(folders[0], "requirements.txt").write_text("six\npaddlepaddle>=2\n")
    said = chosen(ppocr_image_extra_modules=folders)[2]
    assert "its requirements.txt names paddlepaddle" in said


def test_without_is_refused_where_a_setting_needs_it():
    asked = {"ppocr_image_paddle": "without"}
    assert variant.choose(asked).error == ""
    error = variant.choose({**asked, "hubserving_server": "hub"}).error
    assert error == "hubserving_server is hub, and ppocr_image_paddle is without: set it to auto"


def test_an_image_without_paddle_is_refused_for_those_settings_only():
    hub = {"hubserving_server": "hub"}
    said = variant.refusal("ppocr:2", paddle.WITHOUT, hub)
    assert said == f"ppocr:2 has no Paddle, and hubserving_server is hub: {paddle.REMEDY}"
    assert not variant.refusal("ppocr:2", paddle.WITHOUT, {})
    assert not variant.refusal("ppocr:2", paddle.WITH, hub)
    assert not variant.refusal("ppocr:0.9", "", hub)  # of a former version, which have all


def test_the_variant_differs_in_its_lock_and_content_only():
    without = context.ImageSettings()
    with_it = context.ImageSettings.from_dict({"paddle": True})
    assert with_it.lock == without.lock and not without.paddle_lock
    assert b"paddlepaddle==2.6.2" in with_it.paddle_lock
    assert context.content_hash(without) != context.content_hash(with_it)
    assert context.paddle_label(without), context.paddle_label(with_it) == ("without", "with")
    assert context.paddle_label(context.ImageSettings(device="gpu")) == "without"


def test_paddle_for_cards_is_in_the_lock_of_its_engine():
    """Two builds of Paddle in one image would lie over each other."""
    built = context.ImageSettings.from_dict(
        {"device": "gpu", "engines": ["paddle"], "paddle": True}
    )
    assert context.paddle_label(built) == "with" and not built.paddle_lock
    hub = context.ImageSettings.from_dict({"device": "gpu", "paddle": True})
    assert b"paddlepaddle==2.6.2" in hub.paddle_lock


def test_no_package_is_in_both_locks():
    """Two versions of one would be in the variant, and which one is imported would be chance."""
    shared = locks.packages("images/ppocr/requirements.lock")
    added = locks.packages("images/ppocr/requirements.paddle.lock")
    assert not shared.keys() & added.keys()
    assert "paddlepaddle" in added and not any(name.startswith("paddlepaddle") for name in shared)


def test_a_worker_tells_paddlehub_the_version_of_the_lock():
    serving = (ROOT / "images/ppocr/serving/ppocr_serving/missing_packages.py").read_text()
    version = locks.packages("images/ppocr/requirements.paddle.lock")["paddlepaddle"]
    assert f'PADDLE_VERSION = "{version}"' in serving


def test_a_version_is_rolled_back_to_in_the_variant_the_host_needs():
    rollback = load("plugins/filter/hubserving_containers.py").hubserving_rollback
    images = ["sha256:a ppocr:0.9", "sha256:b ppocr:1.0", "sha256:c ppocr:1.0-paddle"]
    images += ["sha256:d ppocr:0.9-gpu", "sha256:e ppocr:1.0-gpu-paddle"]
    running = ["sha256:b"]

    def run(version, suffix):
        return rollback(images, "ppocr", version, suffix, running)["run"]

    assert run("1.0", "-paddle") == run("1.0-paddle", "-paddle") == "ppocr:1.0-paddle"
    assert run("1.0", "") == "ppocr:1.0"
    assert run("0.9", "-paddle") == "ppocr:0.9"  # has Paddle, though not in its tag
    assert run("1.0", "-gpu") == ""
    assert run("0.9", "-gpu-paddle") == run("0.9-gpu", "-gpu-paddle") == "ppocr:0.9-gpu"
    assert run("1.0", "-gpu-paddle") == "ppocr:1.0-gpu-paddle"


PLAN = """
- hosts: ppocr_hosts
  gather_facts: false
  tasks:
    - include_role: {name: ppocr_image, tasks_from: plan.yml}
    - include_role: {name: ppocr_image, tasks_from: tell.yml}
    - debug: {msg: "{{ inventory_hostname }} gets {{ __ppocr_image_plan.content }}"}
"""


@pytest.mark.slow
def test_hosts_of_both_kinds_get_both_images_each_planned_once(tmp_path):
    hosts = {"w1": HOST, "w2": {**HOST, "hubserving_server": "hub"}, "w3": HOST}
    status, output = run_play(tmp_path, PLAN, hosts)
    assert status == 0, output
    assert "for w1, w3: without Paddle (no setting needs it)" in output
    assert "-paddle for w2: with Paddle (hubserving_server is hub)" in output
    plain = context.content_hash(context.ImageSettings())
    assert f"w1 gets {plain}" in output and f"w3 gets {plain}" in output
    assert "w2 gets" in output and f"w2 gets {plain}" not in output


@pytest.mark.slow
def test_one_tag_cannot_be_two_images(tmp_path):
    hosts = {"w1": HOST, "w2": {**HOST, "hubserving_server": "hub"}}
    status, output = run_play(tmp_path, PLAN, hosts, "-e", "ppocr_image_tag=mine")
    assert status and "ppocr:mine would be for hosts whose settings need Paddle and" in output


@pytest.mark.slow
def test_a_bundle_does_not_become_the_trainer_image(tmp_path):
    play = """
- hosts: ppocr_hosts
  gather_facts: false
  tasks:
    - include_role: {name: trainer, tasks_from: image.yml}
"""
    manifest = {"image": {"content": "0123", "path": "image.tar"}}
    (tmp_path / "MANIFEST.json").write_text(json.dumps(manifest))
    given = {**HOST, "ppocr_bundle_dir": str(tmp_path)}
    status, output = run_play(tmp_path, play, {"w1": given}, "--check")
    assert status and "image of the service, and ppocr-trainer:1.0.0 is another" in output, output


@pytest.mark.full
@pytest.mark.slow
def test_an_inventory_without_paddle_is_refused_with_the_setting(tmp_path):
    play = "- {hosts: ppocr_hosts, gather_facts: false, roles: [inventory_check]}"
    host = {"ansible_host": "host.invalid", "ppocr_image_paddle": "without"}
    status, output = run_play(tmp_path, play, {"w1": {**host, "hubserving_engine": "paddle"}})
    assert status and "hubserving_engine is paddle, and ppocr_image_paddle is without" in output
    assert "unreachable=1" not in output


@pytest.mark.full
@pytest.mark.slow
def test_a_bundle_for_both_kinds_has_the_image_that_serves_both(tmp_path):
    play = """
- hosts: ppocr_hosts
  gather_facts: false
  tasks:
    - include_role: {name: bundle, tasks_from: choose.yml}
    - include_role: {name: ppocr_image, tasks_from: plan.yml}
    - include_role: {name: ppocr_image, tasks_from: tell.yml}
"""
    hosts = {"w1": HOST, "w2": {**HOST, "hubserving_server": "hub"}}
    status, output = run_play(tmp_path, play, hosts)
    assert status == 0 and "-paddle for w1, w2: with Paddle" in output, output
