"""Every setting of every role, given in any form: refused by name, or used as what it is."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.plugins.filter.core import to_bool
from hypothesis import given
from hypothesis import strategies as st
from plays import run_play
from role_code import ROOT, load
from test_inventory_check import PLAY

from tests.tiers import first_by_default

settings = load("plugins/action/inventory_check_settings.py")
values = settings.setting_values
SHARED = yaml.safe_load((ROOT / "roles/inventory_check/vars/main/settings.yml").read_text())
RANGES = {name: tuple(pair) for name, pair in SHARED["_inventory_check_ranges"].items()}
OPTIONS: dict[str, dict[str, Any]] = {
    name: option
    for options in settings.role_options(ROOT / "roles").values()
    for name, option in options.items()
} | SHARED["_inventory_check_top_level"]
DEFAULTS: list[dict[str, Any]] = [
    yaml.safe_load(path.read_text()) or {} for path in ROOT.glob("roles/*/defaults/main.yml")
]
#: Types whose values no text, number or other type can stand for.
CONTAINERS = {"list", "dict"}
ANYTHING: list[Any] = [
    "secret1", "10.0.0.0/8", '["a"]', "{}", "a,b", "", " ", " x ", "x\n", "yes", "no", "on", "off",
    "true", "FALSE", "y", "t", "1", "0", "-1", "010", "1.10", "1e3", "3.0", "1_000", "0x10", "٣",
    " 3", "3 ", "9" * 30, "nan", "inf", "None", "null", "~", "2024-01-01", 0, 1, -1, 3, 8866, 88666,
    10**30, 1.1, 1.0, 1e3, float("nan"), float("inf"), True, False, None, [], ["a"], [""], [" a"],
    [1], [1.1], [True], [None], [["a"]], [{}], {}, {"a": 1}, datetime.date(2024, 1, 1),
]  # fmt: skip


def used_as(value: Any, kind: str) -> Any:
    """What the roles make of a value: the filters test_typed_use.py finds at every use."""
    if kind == "bool":
        return to_bool(value)
    if kind == "int":
        return int(value)
    return float(value) if kind == "float" else value


def meant(value: Any, option: dict[str, Any]) -> Iterator[Any]:
    """Readings of a value that are beyond doubt, by the setting's type."""
    kind, text = option.get("type", "str"), str(value)
    if kind == "raw":
        yield value
    if kind in ("str", "path") and isinstance(value, str):
        yield value
    if kind == "bool":
        yield {"true": True, "yes": True, "on": True, "1": True}.get(text.lower(), False)
    if kind in ("int", "float") and not isinstance(value, bool) and text.strip() == text:
        yield json.loads(text)
    if kind == "list" and isinstance(value, list):
        yield value
    if kind == "dict" and isinstance(value, dict):
        yield value


def holds(name: str, value: Any) -> None:
    option = OPTIONS[name]
    problem = values.problem(name, value, option, RANGES) or settings.type_error(
        name, value, option
    )
    if problem:
        assert name in problem
    else:
        kind = option.get("type", "str")
        assert value is not None
        assert used_as(value, kind) in list(meant(value, option)), (name, value)
        if kind in CONTAINERS:
            assert isinstance(value, {"list": list, "dict": dict}[kind])
        if kind == "list" and option.get("elements") in ("str", "path"):
            assert all(isinstance(item, str) for item in value), (name, value)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_a_setting_is_used_as_what_it_is_or_refused_by_name(name: str) -> None:
    for value in ANYTHING:
        holds(name, value)


@given(
    name=st.sampled_from(sorted(OPTIONS)),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_so_is_whatever_else_it_is_given(name: str, value: Any) -> None:
    holds(name, value)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_its_default_passes(name: str) -> None:
    for defaults in DEFAULTS:
        default = defaults.get(name)
        if default is not None and not (isinstance(default, str) and "{{" in default):
            assert values.problem(name, default, OPTIONS[name], RANGES) == ""


def test_every_range_is_a_setting_s() -> None:
    for name in RANGES:
        setting, _, key = name.partition(".")
        assert setting in OPTIONS
        # Entries of every list of instances are of one kind: inventory_check_settings sees to it.
        entry = OPTIONS["hubserving_instances"]["options"] if setting.endswith("_instances") else {}
        assert (entry[key] if key else OPTIONS[setting])["type"] == "int", name


#: As `-e name=value`: name, value, and what the refusal says ('' where it is taken).
BY_KEY_AND_VALUE = {
    ("hubserving_tokens", "secret1"): "hubserving_tokens is text and not a list",
    ("hubserving_tokens", '["a"]'): "hubserving_tokens is text and not a list",
    ("hubserving_allow_networks", "10.0.0.0/8"): """-e '{"hubserving_allow_networks":""",
    ("hubserving_modules", "ocr_system"): "hubserving_modules is text and not a list",
    ("hubserving_params", "{}"): "hubserving_params is text and not a mapping",
    ("hubserving_environment", "A=b"): "hubserving_environment is text and not a mapping",
    ("hubserving_use_gpu", "y"): "hubserving_use_gpu is text and not true or false",
    ("hubserving_use_gpu", ""): "hubserving_use_gpu is empty and not true or false",
    ("hubserving_port", "88666"): "hubserving_port is outside its range",
    ("hubserving_port", "0"): "write a whole number from 1 to 65535",
    ("hubserving_port", "eighty"): "hubserving_port is text and not a whole number",
    ("hubserving_workers", "1e3"): "hubserving_workers is text and not a whole number",
    ("hubserving_workers", "-1"): "hubserving_workers is outside its range",
    ("ppocr_image_relay_port", "65536"): "write a whole number from 0 to 65535",
    ("ppocr_version", "1.10"): "",
    ("hubserving_privileged", "FALSE"): "",
    ("hubserving_threads", "3"): "",
}
#: The same in the inventory, and as JSON after -e.
BY_INVENTORY: list[tuple[str, Any, str]] = [
    ("ppocr_version", 1.10, 'such as ppocr_version: "1.1"'),
    ("ppocr_version", 8, "ppocr_version is a number and not text"),
    ("ppocr_version", True, "ppocr_version is true and not text"),
    ("ppocr_device", None, "ppocr_device has no value (null)"),
    ("hubserving_tokens", "secret1", "hubserving_tokens is text and not a list"),
    ("hubserving_tokens", [12345], "hubserving_tokens[0] is a number and not text"),
    ("hubserving_tokens", [""], "hubserving_tokens[0] is empty"),
    ("hubserving_tokens", ["a b"], "hubserving_tokens: a token"),
    ("hubserving_tokens", ["#a"], "hubserving_tokens: a token"),
    ("hubserving_allow_networks", ["10.0.0.1/8"], "is no network"),
    ("hubserving_restart_policy", False, 'hubserving_restart_policy: "no"'),
    ("hubserving_instances", {"name": "aa", "port": 1}, "is a mapping and not a list"),
    ("hubserving_instances", [{"name": "aa", "port": 70000}], "from 1 to 65535"),
    ("hubserving_instances", [{"name": "aa", "port": True}], "hubserving_instances.port is true"),
    ("hubserving_instances", [{"name": "aa", "port": 1, "modules": "ocr_det"}], "not a list"),
    ("hubserving_instances", [{"name": 1.10, "port": 1}], "hubserving_instances.name is a number"),
    ("smoke_test_instances", [{"name": "aa", "port": 0}], "smoke_test_instances.port is outside"),
    ("hubserving_environment", {"A": 1.10}, "hubserving_environment.A is not text"),
    ("hubserving_bind", "300.1.1.1", "hubserving_bind is 300.1.1.1"),
    ("hubserving_config_dir", "~/ppocr", "hubserving_config_dir is ~/ppocr"),
    ("hubserving_name", "", "hubserving_name is empty"),
    ("hubserving_memory_limit", "96m", "1 worker cannot start with less than 550 MB"),
    ("hubserving_memory_limit", "lots", "write it such as 4g or 512m"),
    ("hubserving_buffer_limit", 10, "hubserving_body_limit (64 MB for one)"),
    ("hubserving_threads", "3", ""),
    ("hubserving_use_multiprocess", "false", ""),
    ("hubserving_modules", ["ocr_det"], ""),
]


def refused(output: str) -> list[str]:
    return output.partition("PLAY RECAP")[0].split("fatal: ")[1:]


@pytest.fixture(scope="module")
def by_inventory(tmp_path_factory) -> str:
    hosts = {
        f"case{number:02}": {"ansible_host": "host.invalid", name: value}
        for number, (name, value, _) in enumerate(BY_INVENTORY)
    }
    return run_play(tmp_path_factory.mktemp("inventory"), PLAY, hosts)[1]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(BY_INVENTORY)))
def test_in_the_inventory(by_inventory: str, number: int) -> None:
    name, _, says = BY_INVENTORY[number]
    said = [text for text in refused(by_inventory) if text.startswith(f"[case{number:02}]")]
    assert bool(said) == bool(says), by_inventory
    # The same error of another host was printed once, for that one.
    if says and (same := re.search(r"the same as (\w+)", said[0])):
        said = [text for text in refused(by_inventory) if text.startswith(f"[{same[1]}]")]
    if says:
        assert name in said[0] and says in said[0].replace('\\"', '"')


CHECK_ALONE = """
- name: Check
  hosts: ppocr_hosts
  gather_facts: false
  tasks:
    - name: Check
      ansible.builtin.import_role: {name: inventory_check, tasks_from: settings}
"""


@pytest.mark.slow
def test_on_the_command_line(tmp_path: Path) -> None:
    """All that are refused in one run, then all that are taken."""
    for taken in (False, True):
        seen, arguments, wanted = set(), [], []
        for (name, value), says in BY_KEY_AND_VALUE.items():
            if bool(says) != taken and name not in seen:
                seen.add(name)
                arguments += ["-e", f"{name}='{value}'"]
                wanted.append(says)
        status, output = run_play(tmp_path, CHECK_ALONE, {"h1": {}}, *arguments)
        assert (status == 0) == taken, output
        for says in wanted:
            assert says in output.replace('\\"', '"')


@pytest.mark.slow
@pytest.mark.parametrize("road", first_by_default(["json", "file", "host_vars"]))
def test_a_number_for_a_version_is_refused_on_every_road(tmp_path: Path, road: str) -> None:
    hosts: dict[str, Any] = {"h1": {}}
    arguments: list[str] = []
    if road == "json":
        arguments = ["-e", '{"ppocr_version": 1.10, "hubserving_tokens": "secret1"}']
    elif road == "file":
        (tmp_path / "vars.yml").write_text("ppocr_version: 1.10\nhubserving_tokens: secret1\n")
        arguments = ["-e", f"@{tmp_path}/vars.yml"]
    else:
        (tmp_path / "host_vars").mkdir()
        text = "ppocr_version: 1.10\nhubserving_tokens: secret1\n"
        (tmp_path / "host_vars/h1.yml").write_text(text)
    status, output = run_play(tmp_path, CHECK_ALONE, hosts, *arguments)
    assert status
    assert "ppocr_version is a number and not text" in output
    assert "hubserving_tokens is text and not a list" in output and "secret1" not in output


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml")))
def test_every_playbook_checks_the_settings(name: str) -> None:
    last: dict = {"ansible.builtin.import_playbook": f"{name}.yml"}
    while imported := last.get("ansible.builtin.import_playbook"):
        last = yaml.safe_load((ROOT / "playbooks" / imported).read_text())[-1]
    first = json.dumps(last["roles"] if "roles" in last else last["tasks"][:1])
    assert "inventory_check" in first
