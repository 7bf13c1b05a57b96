"""The version of this project stands in pyproject.toml; what repeats it agrees with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ppocr_control import ROOT, version
from ppocr_control.commands import build_image
from ppocr_control.images.context import ImageSettings

CURRENT = version.current()
EXAMPLES = {path: version.examples(path.read_text()) for path in version.example_files()}


def test_it_has_three_numbers() -> None:
    assert version.FORM.fullmatch(CURRENT)


def test_python_and_roles_read_it_there() -> None:
    assert ImageSettings().version == CURRENT
    assert build_image.parse([]).tag == f"ppocr:{CURRENT}"
    image = yaml.safe_load((ROOT / "roles/ppocr_image/defaults/main.yml").read_text())
    assert f"default('{CURRENT}')" in image["ppocr_image_tag"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/settings.yml")), ids=str)
def test_a_role_does_not_repeat_it(path: Path) -> None:
    assert f"'{CURRENT}'" not in path.read_text(), (
        "write @version@: scripts/settings.py fills it in"
    )
    assert version.examples(path.read_text()) == []


def test_python_does_not_repeat_it() -> None:
    """Help texts have examples, which a release renews; no default is written down."""
    for path in (ROOT / "src").rglob("*.py"):
        for line in path.read_text().splitlines():
            assert not re.search(rf"\b(default|version)\b.*\W{re.escape(CURRENT)}\W", line), path


def test_examples_name_this_version_or_one_to_come() -> None:
    old = {
        str(path.relative_to(ROOT)): named
        for path, found in EXAMPLES.items()
        if (named := [each for each in found if version.key(each) < version.key(CURRENT)])
    }
    assert old == {}, f"name {CURRENT} in these examples"
    assert sum(map(len, EXAMPLES.values())) > 30  # they are found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("docker load -i image/ppocr-1.0.0.tar", "docker load -i image/ppocr-1.1.0.tar"),
        ("tag `1.0.0-gpu`, ppocr:1.0.0-gpu", "tag `1.1.0-gpu`, ppocr:1.1.0-gpu"),
        ("--tag ppocr:1.0.1, bundle_since=/srv/ppocr-bundle-1.0.0",
         "--tag ppocr:1.1.1, bundle_since=/srv/ppocr-bundle-1.1.0"),
        ("ppocr_version=2.0.0", "ppocr_version=2.0.0"),
        ("as measured on 2026-11-22: ppocr:1.0.0", "as measured on 2026-11-22: ppocr:1.0.0"),
        ("127.0.0.1 `450.80.02` ppocr:1.0 ppocr_1.0.tar `1.0.0`",
         "127.0.0.1 `450.80.02` ppocr:1.0 ppocr_1.0.tar `1.0.0`"),
    ],
)  # fmt: skip
def test_a_release_renews_examples_and_nothing_else(text: str, expected: str) -> None:
    assert version.renewed(text, "1.0.0", "1.1.0") == expected


def test_after_any_release_the_examples_agree() -> None:
    major, minor, patch = version.key(CURRENT)
    for new in (f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}.0", f"{major + 1}.0.0"):
        for path in EXAMPLES:
            named = version.examples(version.renewed(path.read_text(), CURRENT, new))
            assert all(version.key(each) >= version.key(new) for each in named), path
