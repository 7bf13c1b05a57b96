"""Settings that may come as text are converted wherever a role uses them.

``-e name=value`` gives text: ``false`` is then true in a condition, and ``3 + 5`` an error. Every
use of a truth value in a role passes through ``bool``, of a number through ``int``, ``float`` or
into text, of a path on the control node through ``expanduser``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from jinja2 import nodes

ROOT = Path(__file__).resolve().parents[2]
JINJA = jinja2.Environment(autoescape=True)  # templates are parsed only
CONDITIONS = {"when", "that", "until", "failed_when", "changed_when"}
MESSAGES = {"fail_msg", "msg", "label", "prompt", "name"}
#: What makes a use typed; `length` and tests of emptiness need no conversion of a path.
CONVERTED = {
    "bool": {"bool"},
    "int": {"int", "string", "float"},
    "float": {"float", "string", "int"},
    "path": {"expanduser", "length"},
}


def settings() -> dict[str, str]:
    """Every setting that may come as text or hold a path, with its type."""
    found = {}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            for name, option in (entry.get("options") or {}).items():
                found[name] = option.get("type", "str")
    shared = yaml.safe_load((ROOT / "roles/inventory_check/vars/main/settings.yml").read_text())
    for name, option in shared["_inventory_check_top_level"].items():
        found[name] = option["type"]
    return {name: kind for name, kind in found.items() if kind in CONVERTED}


SETTINGS = settings()


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each template in a YAML document, conditions as such, with the key it stands under."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from texts(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, key)
    elif isinstance(value, str):
        yield key, "{{ " + value + " }}" if key in CONDITIONS else value


def untyped(template: str, key: str = "") -> Iterator[str]:
    """Settings the template uses as they were given."""
    yield from _walk(JINJA.parse(template), [], key)


def _walk(node: nodes.Node, above: list[nodes.Node], key: str) -> Iterator[str]:
    if isinstance(node, nodes.Name) and node.name in SETTINGS and not _typed(node, above, key):
        yield node.name
    for child in node.iter_child_nodes():
        yield from _walk(child, [node, *above], key)


def _typed(node: nodes.Name, above: list[nodes.Node], key: str) -> bool:
    kind = SETTINGS[node.name]
    inner: nodes.Node = node
    outer: nodes.Node = node
    for outer in above:
        if isinstance(outer, nodes.Filter) and outer.node is inner:
            if outer.name in CONVERTED[kind]:
                return True
            if outer.name == "default":
                inner = outer
                continue
        break
    if isinstance(outer, nodes.Test) and outer.name in ("defined", "undefined", "match"):
        return True
    if kind in ("int", "float"):
        in_text = isinstance(outer, nodes.Output) and (len(outer.nodes) > 1 or key in MESSAGES)
        return in_text or isinstance(outer, nodes.Concat)
    return kind == "path" and (key in MESSAGES or _asks_for_emptiness(inner, above))


def _asks_for_emptiness(inner: nodes.Node, above: list[nodes.Node]) -> bool:
    for outer in above:
        if isinstance(outer, nodes.CondExpr):
            return outer.test is inner
        if not isinstance(outer, (nodes.And, nodes.Or, nodes.Not, nodes.Filter)):
            return False
        inner = outer
    return False


def places() -> Iterator[tuple[str, str, str]]:
    for path in sorted(ROOT.glob("roles/*/*/**/*.yml")) + sorted(ROOT.glob("playbooks/*.yml")):
        if path.parent.name == "meta":
            continue
        for key, text in texts(yaml.safe_load(path.read_text())):
            # A default of one setting that is another one is converted where that is used.
            if path.parent.name == "defaults" and key in SETTINGS:
                continue
            yield path.relative_to(ROOT).as_posix(), key, text
    for path in sorted(ROOT.glob("roles/*/templates/*")):
        yield path.relative_to(ROOT).as_posix(), "", path.read_text()


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_every_use_in_the_roles_is_typed() -> None:
    found = {
        (place, name)
        for place, key, text in places()
        if re.search(r"\{[{%]", text)
        for name in untyped(text, key)
    }
    assert sorted(found) == []


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{{ 'a' if hubserving_use_gpu else 'b' }}", ["hubserving_use_gpu"]),
        ("{{ hubserving_privileged }}", ["hubserving_privileged"]),
        ("{{ hubserving_graceful_timeout + 5 }}", ["hubserving_graceful_timeout"]),
        ("{{ not hubserving_use_gpu }}", ["hubserving_use_gpu"]),
        ("{{ ['-x', bundle_dir] }}", ["bundle_dir"]),
        ("{{ hubserving_use_gpu | default(false) | bool }}", []),
        ("{{ hubserving_graceful_timeout | int + 5 }}", []),
        ("waited {{ hubserving_wait_timeout }} s", []),
        ("{{ ['-x', bundle_dir | expanduser] if bundle_dir else [] }}", []),
    ],
)
def test_the_check_sees_an_untyped_use(template: str, names: list[str]) -> None:
    assert list(untyped(template)) == names
