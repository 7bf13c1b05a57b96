"""The content hash and the build context."""

import dataclasses
import json
import shutil
import tarfile

import pytest
import yaml
from role_code import ROOT

from ppocr_contract.config import OUR_MODULES
from ppocr_control.commands import image_context
from ppocr_control.images import build, context, models

DEFAULT = context.ImageSettings()


def test_the_hash_is_of_content_alone():
    again = dataclasses.replace(DEFAULT, ca_bundle="/etc/ssl/certs/ca-certificates.crt")
    assert context.content_hash(DEFAULT) == context.content_hash(again)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "2.0.0"},
        {"base": "registry.example.com/python:3.11"},
        {"extra_requirements": ("pandas==2.2.3",)},
    ],
)
def test_what_decides_the_image_changes_the_hash(change):
    assert context.content_hash(DEFAULT) != context.content_hash(
        dataclasses.replace(DEFAULT, **change)
    )


def test_playbooks_and_scripts_build_with_the_same_arguments(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.setenv(name, "set")
    gpu = dataclasses.replace(DEFAULT, device="gpu")
    scripts = build._arguments("ppocr:1", gpu, build.Sources(pip_index_url="set"), "hash")
    role = yaml.safe_load((ROOT / "roles/ppocr_image/vars/main.yml").read_text())
    assert set(role["_ppocr_image_build_args"]) == set(scripts)


@pytest.mark.parametrize(
    ("device", "engine", "kernels"),
    [
        ("gpu", "paddle", "6.1 7.0 7.5 8.0 8.6"),
        ("gpu", "onnxruntime", "6.0 7.0 7.5 8.0 8.6 9.0+PTX"),
        ("cpu", "openvino", ""),
    ],
)
def test_the_plan_names_the_cards_the_build_expects(capsys, device, engine, kernels):
    given = json.dumps({"device": device, "engines": [engine]})
    image_context.main(["plan", f"--settings={given}"])
    assert json.loads(capsys.readouterr().out)["kernels"] == kernels


@pytest.mark.parametrize(
    ("settings", "det"),
    [
        ({}, "PP-OCRv6-small"),
        ({"engines": ["openvino"]}, "PP-OCRv6-small"),
        ({"engines": ["paddle"], "paddle": True}, "PP-OCRv4-mobile"),
        ({"device": "gpu"}, "PP-OCRv6-small"),
        ({"device": "gpu", "engines": ["paddle"]}, "PP-OCRv4-mobile"),
    ],
)
def test_the_plan_names_the_models(capsys, settings, det):
    image_context.main(["plan", f"--settings={json.dumps(settings)}"])
    names = json.loads(capsys.readouterr().out)["models"]
    assert names == f"det {det}, cls PP-OCRv4-mobile, rec {det}"


def test_an_image_for_gpus_carries_the_engine_that_is_set():
    def lock(*engines):
        return dataclasses.replace(DEFAULT, device="gpu", engines=engines).lock.name

    assert lock() == lock("onnxruntime") == "requirements.onnxruntime-gpu.lock"
    assert lock("paddle") == "requirements.gpu.lock"


@pytest.mark.parametrize(("onnx_only", "stages"), [(False, ["cls"]), (True, ["det", "cls"])])
def test_models_become_onnx_where_the_engine_reads_nothing_else(onnx_only, stages):
    programs = {"det": "inference.pdmodel", "cls": "inference.json", "rec": "inference.onnx"}
    assert models.to_convert(programs, onnx_only) == stages


def test_an_extra_module_must_be_one(tmp_path):
    with pytest.raises(context.ContextError, match="ppocr_image_extra_modules"):
        context.ImageSettings.from_dict({"extra_modules": [str(tmp_path)]})


MODULE = """
import ppocr_serving
from paddlehub.module.module import moduleinfo


@moduleinfo(name="{name}", version="1.0.0")
class Ours:
    pass
"""


def module(path, name=None, text=None):
    """A folder with a module in it; its name unless another is declared."""
    path.mkdir(parents=True)
    (path / "module.py").write_text(MODULE.format(name=name or path.name) if text is None else text)
    return str(path)


@pytest.fixture
def modules_of(tmp_path, monkeypatch):
    """The modules of a context with these extra ones, by name; no model is fetched."""
    monkeypatch.setattr(context.models, "lay_out", lambda *_: {})

    def lay_out(*folders, **values):
        settings = context.ImageSettings.from_dict({"extra_modules": list(folders), **values})
        context.write(settings, tmp_path / "context", tmp_path / "cache")
        return {path.name: path for path in (tmp_path / "context/modules").iterdir()}

    return lay_out


def test_a_changed_copy_of_ocr_system_takes_its_place(modules_of, tmp_path):
    mine = tmp_path / "mine/ocr_system"
    shutil.copytree(context.hub_modules.BUILT_IN / "ocr_system", mine)
    (mine / "params.py").write_text("# mine\n" + (mine / "params.py").read_text())
    (mine / "extra.txt").write_text("mine")
    found = modules_of(str(mine))
    assert set(found) == set(OUR_MODULES)
    assert (found["ocr_system"] / "params.py").read_text().startswith("# mine")
    assert (found["ocr_system"] / "extra.txt").exists()
    settings = dataclasses.replace(DEFAULT, extra_modules=(str(mine),))
    changed = context.content_hash(settings)
    assert changed != context.content_hash(DEFAULT)
    (mine / "extra.txt").write_text("changed again")
    assert context.content_hash(settings) != changed


def test_nothing_of_ours_is_left_in_what_replaces_it(modules_of, tmp_path):
    found = modules_of(module(tmp_path / "x/ocr_rec"))
    assert sorted(path.name for path in found["ocr_rec"].iterdir()) == ["module.py"]


def test_a_module_of_ones_own_comes_besides(modules_of, tmp_path):
    assert "mine" in modules_of(module(tmp_path / "mine") + "/")


def test_a_home_folder_and_a_link_to_a_module(modules_of, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    module(tmp_path / "store/v2", name="mine")
    (tmp_path / "mine").symlink_to(tmp_path / "store/v2")
    assert "mine" in modules_of("~/mine")


def test_requirements_of_a_module_are_installed_with_the_others(modules_of, tmp_path):
    folder = module(tmp_path / "mine")
    (tmp_path / "mine/requirements.txt").write_text("qrcode==8.0\n")
    modules_of(folder, extra_requirements=["pandas"])
    assert (tmp_path / "context/extra-requirements.txt").read_text() == "pandas\nqrcode==8.0"


def test_two_modules_of_one_name_are_refused(tmp_path):
    folders = [module(tmp_path / "a/mine"), module(tmp_path / "b/mine")]
    with pytest.raises(context.ContextError, match=r"a/mine and .*b/mine are both named mine"):
        context.ImageSettings.from_dict({"extra_modules": folders})


@pytest.mark.parametrize(
    ("text", "output"),
    [
        (MODULE.format(name="other"), "declares the name 'other'.* rename the folder to other"),
        ("class Ours:\n    pass\n", "declares no module"),
        ("def broken(:\n", "is not Python"),
        ("\0", "is not Python"),
    ],
)
def test_a_module_that_is_none_is_named(tmp_path, text, output):
    folder = module(tmp_path / "mine", text=text)
    with pytest.raises(context.ContextError, match=f"ppocr_image_extra_modules: .*mine.*{output}"):
        context.ImageSettings.from_dict({"extra_modules": [folder]})


def test_a_name_with_a_dash_may_have_a_folder_with_an_underscore(tmp_path):
    folder = module(tmp_path / "my_ocr", name="my-ocr")
    assert context.ImageSettings.from_dict({"extra_modules": [folder]})


@pytest.mark.parametrize("name", ["PPOCR", "", "ppocr ", "识别"])
def test_a_name_docker_does_not_take_is_refused_with_the_setting(name):
    with pytest.raises(context.ContextError, match="ppocr_image_name, ppocr_image_tag: "):
        context.ImageSettings.from_dict({"name": name})


def test_unknown_device_is_refused():
    with pytest.raises(context.ContextError, match="no image is defined for 'tpu'"):
        context.content_hash(dataclasses.replace(DEFAULT, device="tpu"))


def test_packing_depends_on_files_alone(tmp_path):
    folder = tmp_path / "f"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/a").write_text("a")
    context.pack(folder, tmp_path / "1.tar")
    (folder / "sub/a").touch()
    context.pack(folder, tmp_path / "2.tar")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with tarfile.open(tmp_path / "1.tar") as archive:
        assert archive.getnames() == ["sub", "sub/a"]
