"""Roles keep their private variables to themselves; what they tell others is a documented fact."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from role_code import ROOT

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
PRIVATE = re.compile(rf"(?<!\w)__?({'|'.join(ROLES)})_\w+")
PLAYBOOKS = sorted((ROOT / "playbooks").rglob("*.yml"))


def strangers(path: Path, own: str = "") -> list[str]:
    """Private variables of roles other than `own` that the file mentions."""
    text = path.read_text(encoding="utf-8")
    return [found[0] for found in PRIVATE.finditer(text) if found[1] != own]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_no_private_variable_of_another(role: str) -> None:
    files = [path for path in (ROOT / "roles" / role).rglob("*") if path.is_file()]
    found = {str(path.relative_to(ROOT)): strangers(path, role) for path in files}
    assert files
    assert not {name: names for name, names in found.items() if names}


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_playbook_reads_no_private_variable_of_a_role(playbook: Path) -> None:
    assert not strangers(playbook)


def test_the_search_finds_what_it_is_for(tmp_path: Path) -> None:
    file = tmp_path / "main.yml"
    file.write_text("when: __hubserving_pending or _ppocr_image_ref or hubserving_port or x__y")
    assert strangers(file) == ["__hubserving_pending", "_ppocr_image_ref"]
    assert strangers(file, "hubserving") == ["_ppocr_image_ref"]


def test_every_fact_is_used_by_another_role_or_a_playbook() -> None:
    for role in ROLES:
        source = yaml.safe_load((ROOT / "roles" / role / "settings.yml").read_text("utf-8"))
        others = [path for path in (ROOT / "roles").rglob("*.yml") if role not in path.parts]
        text = "".join(path.read_text(encoding="utf-8") for path in [*others, *PLAYBOOKS])
        for fact in source.get("facts", []):
            # As an entry of a list it is only named, by role inventory_check.
            assert re.search(rf"(?<!- )\b{fact['name']}\b", text), f"no one reads {fact['name']}"
