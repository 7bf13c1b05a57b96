"""What has to stand in several places is the same in all of them."""

from __future__ import annotations

import ast
import re
from typing import Any

import yaml
from role_code import ROOT, load

from ppocr_contract import config
from ppocr_control import instances
from ppocr_control.bundle.make import CONTENT_LABEL, BundleOptions
from ppocr_control.layers import image_archive

CONSTANTS = load("plugins/lookup/ppocr_constant.py")._CONSTANTS
PRODUCT = ("images", "playbooks", "plugins", "roles", "src")


def settings(role: str) -> dict[str, Any]:
    """{name: setting} of a role."""
    source = yaml.safe_load((ROOT / "roles" / role / "settings.yml").read_text("utf-8"))
    entries = [*source["settings"], *source.get("shared", [])]
    return {entry["name"]: entry for entry in entries if "name" in entry}


def files_with(pattern: str) -> set[str]:
    """Files of the product, documentation aside, that hold the pattern outside of comments."""
    found = set()
    for file in (path for folder in PRODUCT for path in (ROOT / folder).rglob("*")):
        if file.suffix in (".py", ".yml", ".j2") or file.name == "Dockerfile":
            text = re.sub(r"^\s*#.*$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            if re.search(pattern, text):
                found.add(str(file.relative_to(ROOT)))
    return found


def default(path: str, name: str) -> str:
    """A text that a Python file of the hosts assigns to a name, alone or among others."""
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            names = [target.id for target in node.targets[0].elts if isinstance(target, ast.Name)]
            if name in names:
                return ast.literal_eval(node.value)[names.index(name)]
    raise AssertionError(f"{path} has no {name}")


def test_the_modules_are_the_contract_s() -> None:
    ours = list(config.OUR_MODULES)
    assert CONSTANTS["modules"] == ours
    assert settings("hubserving")["hubserving_modules"]["default"] == list(config.OCR_MODULES)
    assert {path.name for path in (ROOT / "images/ppocr/modules").iterdir() if path.is_dir()} >= {
        *ours
    }
    assert files_with(r"ocr_system\W+ocr_det\W+ocr_cls") == {
        "roles/hubserving/defaults/main.yml",
        "roles/hubserving/settings.yml",
        "roles/smoke_test/defaults/main.yml",
        "roles/smoke_test/settings.yml",
        "src/ppocr_contract/config.py",
    }


def test_the_content_label_is_one() -> None:
    label = CONSTANTS["content_label"]
    assert label == CONTENT_LABEL
    assert label == default("plugins/modules/ppocr_image_prune.py", "CONTENT")
    assert f'{label}="${{CONTENT}}"' in (ROOT / "images/ppocr/Dockerfile").read_text("utf-8")
    row = load("plugins/filter/hubserving_status.py").hubserving_status_row
    container = {
        "Name": "/a",
        "State": {"Status": "running"},
        "Config": {"Image": "a", "Labels": {label: "0123456789abcdef"}},
    }
    assert row(container, "h", "e")["content"] == "0123456789ab"
    for path in (ROOT / "src").rglob("*.py"):
        named = re.findall(r'"(org\.ppocr\.con\w+)"', path.read_text(encoding="utf-8"))
        assert set(named) <= {label}, path
    assert CONSTANTS["part_label"] == image_archive.PART_OF


def test_defaults_that_a_host_s_variables_lack_are_those_of_the_role() -> None:
    hubserving = settings("hubserving")
    plugin = load("plugins/filter/balancer.py")
    for name, copied in {
        "hubserving_name": instances.NAME,
        "hubserving_port": instances.PORT,
        "hubserving_bind": instances.BIND,
        "hubserving_timeout": plugin._TIMEOUT,
        "hubserving_pdserving_port": plugin._PDSERVING_PORT,
    }.items():
        assert hubserving[name]["default"] == copied
    balancer, plugin = settings("balancer"), load("plugins/filter/monitoring.py")
    assert balancer["balancer_metrics_bind"]["default"] == plugin._METRICS_BIND
    assert balancer["balancer_metrics_port"]["default"] == plugin._METRICS_PORT


def test_roles_repeat_each_other_s_defaults_as_they_are() -> None:
    """Roles that run alone repeat a default; one that stands for "not set" is empty."""
    defaults = {
        name: setting.get("default")
        for folder in (ROOT / "roles").iterdir()
        for name, setting in settings(folder.name).items()
    }
    literal = r"\b(\w+)(?: \||',) default[(=]('[^']+'|\[[^\]{]+\]|true|false|[\d.]+)[,)]"
    checked = set()
    for file in (ROOT / "roles").rglob("*.yml"):
        if file.parent.name in ("defaults", "meta"):  # written from settings.yml
            continue
        for name, repeated in re.findall(literal, file.read_text(encoding="utf-8")):
            if name in defaults and "{{" not in str(defaults[name]):
                assert yaml.safe_load(repeated) == defaults[name], f"{file}: {name}"
                checked.add(name)
    assert {"hubserving_port", "trainer_name"} <= checked


def test_the_suffix_of_an_image_comes_from_one_place() -> None:
    for role, name in (("ppocr_image", "ppocr_image_tag"), ("hubserving", "hubserving_image")):
        assert "image_variant).suffix" in settings(role)[name]["default"]


def test_the_modules_have_the_version_their_config_asks_for() -> None:
    variables = (ROOT / "roles/hubserving/vars/main/main.yml").read_text("utf-8")
    asked = re.findall(r"'version': '([^']+)'", variables)
    assert len(asked) == 1
    for name in config.OUR_MODULES:
        source = (ROOT / "images/ppocr/modules" / name / "module.py").read_text("utf-8")
        assert re.findall(r'version="([^"]+)"', source) == asked, name


def test_the_images_run_as_the_user_that_owns_their_files() -> None:
    user = CONSTANTS["user"]
    for recipe in ("ppocr", "trainer"):
        text = (ROOT / "images" / recipe / "Dockerfile").read_text("utf-8")
        assert f"\nUSER {user}:{user}\n" in text and f"echo 'ppocr:x:{user}:{user}:" in text
    assert files_with(rf"\b{user}\b") == {
        "images/ppocr/Dockerfile", "images/trainer/Dockerfile", "plugins/lookup/ppocr_constant.py"
    }  # fmt: skip


def test_an_architecture_has_docker_s_name() -> None:
    named = load("plugins/filter/bundle.py").bundle_architecture
    assert (named("x86_64"), named("aarch64")) == ("amd64", "arm64")
    assert named("riscv64") == "riscv64"
    assert files_with(r"x86_64\W+amd64") == {"src/ppocr_control/layers/image_archive.py"}


def test_a_supported_system_has_packages_of_the_engine() -> None:
    def variable(role: str, name: str) -> dict[str, Any]:
        return yaml.safe_load((ROOT / "roles" / role / "vars/main.yml").read_text("utf-8"))[name]

    systems = variable("preflight", "_preflight_systems")
    assert systems.keys() == variable("docker_engine", "_docker_engine_packages").keys()


def test_a_bundle_has_the_same_packages_by_either_command() -> None:
    by_playbook = settings("bundle")
    assert list(BundleOptions.releases) == by_playbook["bundle_releases"]["default"]
    assert list(BundleOptions.python_versions) == by_playbook["bundle_python_versions"]["default"]


def test_anolis_is_placed_in_a_family_once() -> None:
    assert files_with(r"RedHat.*Anolis|Anolis.*RedHat|\bAnolis\b.*\bAnolis OS\b") == {
        "plugins/filter/host_packages.py"
    }
