"""Roles: their defaults, argument specs and READMEs agree, and every ppocr_ setting is declared."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("role_docs", ROOT / "scripts/role_docs.py")
assert _SPEC and _SPEC.loader
role_docs = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(role_docs)
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one small role that is in order."""
    for name, text in {
        "defaults/main.yml": "---\n# How many cups\ntea_cups: 2\n",
        "tasks/main.yml": "---\n- name: Pour\n  tags: [tea, tea_run]\n",
        "meta/argument_specs.yml": (
            "argument_specs:\n  main:\n    short_description: Makes tea\n    options:\n"
            "      tea_cups:\n        type: int\n        description: Number of C(cups).\n"
        ),
    }.items():
        path = tmp_path / "roles/tea" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", ROLES)
def test_role_has_argument_specs(name: str) -> None:
    assert (ROOT / "roles" / name / "meta/argument_specs.yml").exists()


@pytest.mark.parametrize("name", ROLES)
def test_role_readme_is_fresh_and_defaults_match_specs(name: str, capsys) -> None:
    assert role_docs.main(["--check", name]) == 0, capsys.readouterr().err


def test_every_shared_setting_in_use_is_declared() -> None:
    variables = yaml.safe_load((ROOT / "roles/inventory_check/vars/main.yml").read_text())
    known = set(variables["_inventory_check_top_level"])
    for role in role_docs.find_roles([]):
        known |= set(role.options)
    used = set()
    for pattern in ("roles/*/defaults/*.yml", "playbooks/**/*.yml", "inventory/**/*_vars/**/*.yml"):
        for path in ROOT.glob(pattern):
            used |= _settings_in(path.read_text(encoding="utf-8"))
    assert used - known - {"ppocr_hosts", *ROLES} == set()


def _settings_in(text: str) -> set[str]:
    """Names of ppocr_ variables a YAML file sets (a comment may, too) or reads in templates."""
    templates = " ".join(re.findall(r"\{\{.*?\}\}|\{%.*?%\}", text, re.DOTALL))
    read = re.findall(r"(?<![\w.])ppocr_\w+", re.sub(r"'[^']*'|\"[^\"]*\"", "", templates))
    return {*read, *re.findall(r"^#? *(ppocr_\w+):", text, re.MULTILINE)}


def test_writes_what_check_then_accepts(tree: Path) -> None:
    assert role_docs.main(["--check"], root=tree) == 1
    assert role_docs.main([], root=tree) == 0
    assert role_docs.main(["--check"], root=tree) == 0
    text = (tree / "roles/tea/README.md").read_text()
    assert "| `tea_cups` | int | `2` | Number of `cups`. |" in text
    assert "`tea`, `tea_run`" in text


@pytest.mark.parametrize(
    ("defaults", "complaint"),
    [
        ("# a\ntea_cups: 2\n# b\ntea_milk: true\n", "tea_milk has a default and is in no argument"),
        ("{}\n", "tea_cups is in argument_specs and has no default"),
        ("tea_cups: 2\n", "tea_cups has no comment above it"),
        ("# a\ntea_cups: many\n", "tea_cups is of type int and its default is 'many'"),
    ],
)
def test_names_what_disagrees(tree: Path, capsys, defaults: str, complaint: str) -> None:
    role_docs.main([], root=tree)
    (tree / "roles/tea/defaults/main.yml").write_text(defaults)
    assert role_docs.main(["--check"], root=tree) == 1
    assert complaint in capsys.readouterr().err
