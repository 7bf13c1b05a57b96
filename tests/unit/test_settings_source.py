"""Settings: written once in roles/*/settings.yml; all that is made from them is fresh and true."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from role_code import ROOT, load

from ppocr_contract.fields import Fields
from ppocr_contract.settings import Settings
from ppocr_control.commands import settings as command
from ppocr_control.settings import source
from ppocr_control.settings.ansible_files import spec

values = load("plugins/action/inventory_check_settings.py").setting_values

ROLES = source.find_roles()
SETTINGS = {s.name: s for role in ROLES for s in [*role.settings, *role.shared]}
FACTS = {fact.name for role in ROLES for fact in role.facts}
EXAMPLES = ROOT / "inventory/example/group_vars"
TEA = """---
summary: {en: Makes tea, zh: 沏茶}
about: ["Boils `water` first."]
settings:
  - group: {en: Amounts, zh: 用量}
  - name: tea_cups
    type: int
    range: [1, 9]
    default: 2
    example: 4
    en: >-
      Number of
      `cups`.
    zh: >-
      杯数，
      用 `cups` 表示。
  - name: tea_name
    type: str
    choices: [green, black]
    default: >-
      {{ kitchen_tea
         | default('green') }}
    en: "Which tea: the kitchen's."
    zh: 哪一种茶。
facts:
  - name: tea_pot
    en: The pot it was made in.
    zh: 沏茶所用的壶。
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one small role that is in order."""
    role = tmp_path / "roles/tea"
    (role / "tasks").mkdir(parents=True)
    (role / "tasks/main.yml").write_text(
        "---\n- name: Pour\n  tags: [tea, tea_run]\n  register: tea_pot\n", encoding="utf-8"
    )
    (role / "settings.yml").write_text(TEA, encoding="utf-8")
    return tmp_path


def change(tree: Path, old: str, new: str) -> None:
    assert old in TEA
    (tree / "roles/tea/settings.yml").write_text(TEA.replace(old, new), encoding="utf-8")


def test_all_files_are_fresh_and_all_sources_in_order(capsys) -> None:
    assert command.main(["--check"]) == 0, capsys.readouterr().err


def test_every_role_writes_its_settings_there() -> None:
    names = {path.parent.name for path in (ROOT / "roles").glob("*/tasks")}
    assert names == {role.name for role in ROLES}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_what_is_written_means_what_the_source_says(role: Any) -> None:
    defaults = yaml.safe_load((role.folder / "defaults/main.yml").read_text())
    assert defaults == {s.name: s.data["default"] for s in role.settings if "default" in s.data}
    specs = yaml.safe_load((role.folder / "meta/argument_specs.yml").read_text())["argument_specs"]
    for name, entry in role.entries.items():
        options = specs[name].get("options", {})
        assert list(options) == [setting.name for setting in entry.settings]
        for setting in entry.settings:
            for key in ("type", "elements", "choices", "required", "no_log"):
                assert options[setting.name].get(key) == setting.get(key)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_documentation_has_it_in_both_languages(name: str) -> None:
    for language, page in (("en", "settings.md"), ("zh", "settings.zh-CN.md")):
        text = source.prose(SETTINGS[name].data[language], language).replace("|", "\\|")
        line = re.search(rf"^\| `{name}` .*$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
        assert line and text in line[0]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_example_inventory_has_it_with_its_default(name: str) -> None:
    setting = SETTINGS[name]
    text = "\n".join(path.read_text() for path in EXAMPLES.glob("*/*.yml"))
    found = [
        yaml.safe_load(re.sub("^# ?", "", block, flags=re.MULTILINE))[name]
        for block in re.findall(rf"^# {name}:.*\n(?:#   .*\n)*", text, re.MULTILINE)
    ]
    keys = ("default", "example") if setting.data.get("inventory", True) else ()
    assert found == [setting.data[key] for key in keys if key in setting.data]


@pytest.mark.parametrize(
    "name", [n for n, setting in SETTINGS.items() if "example" in setting.data]
)
def test_its_example_would_be_taken(name: str) -> None:
    option = yaml.safe_load("\n".join(spec([SETTINGS[name]], 0)))[name]
    assert values.problem(name, SETTINGS[name].data["example"], option, {}) == ""


def test_the_example_inventory_sets_nothing() -> None:
    for path in EXAMPLES.glob("*/*.yml"):
        assert yaml.safe_load(path.read_text()) is None, path.name


def test_every_shared_setting_in_use_is_declared() -> None:
    used = set()
    for pattern in ("roles/*/defaults/*.yml", "playbooks/**/*.yml", "inventory/**/*_vars/**/*.yml"):
        for path in ROOT.glob(pattern):
            used |= _settings_in(path.read_text(encoding="utf-8"))
    assert used - {*SETTINGS, *FACTS, "ppocr_hosts", *(role.name for role in ROLES)} == set()


def _settings_in(text: str) -> set[str]:
    """Names of ppocr_ variables a YAML file sets (a comment may, too) or reads in templates."""
    templates = " ".join(re.findall(r"\{\{.*?\}\}|\{%.*?%\}", text, re.DOTALL))
    read = re.findall(r"(?<![\w.])ppocr_\w+", re.sub(r"'[^']*'|\"[^\"]*\"", "", templates))
    return {*read, *re.findall(r"^#? *(ppocr_\w+):", text, re.MULTILINE)}


def test_a_role_that_falls_back_on_another_s_default_has_the_same() -> None:
    """`hubserving_port | default(8866)`, where that role's defaults are not loaded."""
    other = []
    for path in [*ROOT.glob("roles/*/*/**/*.yml"), *ROOT.glob("playbooks/**/*.yml")]:
        for name, text in re.findall(
            r"\b(\w+) *\| *default\(('[^']*'|\d+|true|false|\[.*?\])[,)]", path.read_text()
        ):
            default = SETTINGS[name].data.get("default") if name in SETTINGS else None
            fallback = yaml.safe_load(text)
            # Empty is how a role asks whether the setting is there at all.
            if (
                default is not None
                and "{{" not in str(default)
                and fallback not in ("", [], default)
            ):
                other.append(f"{path.relative_to(ROOT)}: {name} is {fallback}, not {default}")
    assert other == []


def test_what_the_container_reads_besides_is_passed_to_it() -> None:
    passed = (ROOT / "roles/hubserving/vars/main/main.yml").read_text()
    others = {field.name for field in dataclasses.fields(Settings)} - {
        field.name for field in dataclasses.fields(Fields)
    }
    assert others == {"token_file", "tls_cert", "tls_key"}
    assert all(f"'PPOCR_{name.upper()}':" in passed for name in others)


def test_writes_what_check_then_accepts(tree: Path) -> None:
    assert command.main(["--check"], root=tree) == 1
    assert command.main([], root=tree) == 0
    assert command.main(["--check"], root=tree) == 0
    readme = (tree / "roles/tea/README.md").read_text()
    assert "| `tea_cups` | int | `2` | Number of `cups`. From 1 to 9. |" in readme
    assert "`tea`, `tea_run`" in readme
    assert "## Facts for other roles\n" in readme
    assert "| `tea_pot` | The pot it was made in. |" in readme
    checked = yaml.safe_load((tree / "roles/inventory_check/vars/main/settings.yml").read_text())
    assert checked["_inventory_check_facts"] == ["tea_pot"]
    assert "杯数，用 `cups` 表示。取值 1 到 9。" in (tree / "docs/settings.zh-CN.md").read_text()
    specs = (tree / "roles/tea/meta/argument_specs.yml").read_text()
    assert "description: >-\n          Number of C(cups). From 1 to 9.\n" in specs
    assert (
        "tea_name: >-\n  {{ kitchen_tea\n     | default('green') }}\n"
        in (tree / "roles/tea/defaults/main.yml").read_text()
    )


@pytest.mark.parametrize(
    "name",
    [
        "roles/tea/README.md",
        "roles/tea/defaults/main.yml",
        "roles/tea/meta/argument_specs.yml",
        "roles/inventory_check/vars/main/settings.yml",
        "docs/settings.md",
        "docs/settings.zh-CN.md",
        "inventory/example/group_vars/ppocr_hosts/tea.yml",
    ],
)
def test_names_a_file_that_is_stale(tree: Path, capsys, name: str) -> None:
    command.main([], root=tree)
    path = tree / name
    path.write_text(path.read_text() + "# by hand\n")
    assert command.main(["--check"], root=tree) == 1
    assert f"{name} is stale: run scripts/settings.py" in capsys.readouterr().err
    command.main([], root=tree)
    assert "by hand" not in path.read_text()


def test_names_a_file_of_the_example_that_nothing_writes(tree: Path, capsys) -> None:
    command.main([], root=tree)
    (tree / "inventory/example/group_vars/ppocr_hosts/coffee.yml").touch()
    assert command.main(["--check"], root=tree) == 1
    assert "coffee.yml is not written by scripts/settings.py: remove it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("    zh: 哪一种茶。\n", "", "tea_name has no description in zh"),
        ("zh: 哪一种茶。", "zh: Which tea。", "description in zh is in another language"),
        ("""en: "Which tea: the kitchen's.\"""", "en: ''", "tea_name has no description in en"),
        ("kitchen's.", "kitchen's", "its description in en does not end with ."),
        ("`cups`.", "`cups()`.", ") between backquotes has no form in argument specs"),
        (", zh: 沏茶", "", "summary has no zh"),
        ("default: 2", "default: many", "its default 'many' is not of type int"),
        ("default: 2", "default: true", "its default True is not of type int"),
        ("default: 2", "default: 10", "its default 10 is outside its range"),
        ("example: 4", "example: [4]", "its example [4] is not of type int"),
        ("    default: 2\n", "", "tea_cups has no default (or say required: true)"),
        ("default: 2", "default: 2\n    required: true", "is required and has a default"),
        ("name: tea_cups", "name: cups", "cups does not start with tea_"),
        ("name: tea_cups", "name: tea_name", "tea_name is a setting of tea too"),
        ("type: int", "type: number", "tea_cups has no type, or one that is not known"),
        ("type: int", "tpye: int", "tea_cups has keys that are not known: tpye"),
        ("range: [1, 9]", "as: tea_pots", "as names tea_pots, no such setting"),
        ("- name: tea_cups\n    type", "- type", "has no name"),
        ("summary: {en: Makes tea, zh: 沏茶}", "summary: Makes tea", "summary has no en and zh"),
        ("name: tea_pot", "name: pot", "pot does not start with tea_"),
        ("name: tea_pot", "name: tea_cosy", "tea_cosy is a fact that no task sets"),
        ("name: tea_pot", "name: tea_cups", "tea_cups is a setting and a fact"),
        ("name: tea_pot", "name: tea_pot\n    type: str", "tea_pot has keys that are not known"),
        ("    zh: 沏茶所用的壶。\n", "", "tea_pot has no description in zh"),
        ("about:", "abuot:", "settings.yml has keys that are not known"),
    ],
)
def test_names_what_is_not_in_order(tree: Path, capsys, old: str, new: str, complaint: str) -> None:
    change(tree, old, new)
    assert command.main([], root=tree) == 1
    assert complaint in capsys.readouterr().err
    assert not (tree / "roles/tea/README.md").exists()  # nothing is written from it
