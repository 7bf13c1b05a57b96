#!/usr/bin/env -S python3 -IB
"""Write each role's README.md from its argument specs and defaults, or check that it is fresh.

    scripts/role_docs.py [ROLE ...]           writes roles/<role>/README.md
    scripts/role_docs.py --check [ROLE ...]   writes nothing; exit status 1 when a README is stale
                                              or defaults and argument specs disagree

It needs PyYAML, which the control environment has (.venv/bin/python).
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
NOTE = "<!-- Written by scripts/role_docs.py from meta/argument_specs.yml and defaults. -->"
_TYPES: dict[str, type | tuple[type, ...]] = {
    "bool": bool,
    "dict": dict,
    "float": (int, float),
    "int": int,
    "list": list,
    "path": str,
    "str": str,
}


class Role:
    """One role's documents, parsed. Raises yaml.YAMLError or OSError when they cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        specs = yaml.safe_load((folder / "meta/argument_specs.yml").read_text(encoding="utf-8"))
        self.entries: dict[str, dict[str, Any]] = specs["argument_specs"]
        defaults = folder / "defaults/main.yml"
        self.defaults_text = defaults.read_text(encoding="utf-8") if defaults.exists() else ""
        self.defaults: dict[str, Any] = yaml.safe_load(self.defaults_text) or {}

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """The settings of the main entry point."""
        return self.entries.get("main", {}).get("options") or {}


def disagreements(role: Role) -> list[str]:
    """Return one sentence for each way in which a role's defaults and argument specs differ."""
    problems = []
    if not role.entries.get("main", {}).get("short_description"):
        problems.append("argument_specs: main has no short_description")
    required = {name for name, option in role.options.items() if option.get("required")}
    for name in sorted(set(role.defaults) - set(role.options)):
        problems.append(f"{name} has a default and is in no argument spec")
    for name in sorted(set(role.options) - set(role.defaults) - required):
        problems.append(f"{name} is in argument_specs and has no default (or say required: true)")
    for name in sorted(required & set(role.defaults)):
        problems.append(f"{name} is required and has a default")
    for name, option in role.options.items():
        if not option.get("description"):
            problems.append(f"{name} has no description in argument_specs")
        if not re.match(rf"({re.escape(role.name)}|ppocr)_", name):
            problems.append(f"{name} does not start with {role.name}_")
        problems += _default_problems(role, name, option)
    return [f"{role.name}: {problem}" for problem in problems]


def _default_problems(role: Role, name: str, option: dict[str, Any]) -> list[str]:
    if name not in role.defaults:
        return []
    problems = []
    if not re.search(rf"^#.*\n{re.escape(name)}:", role.defaults_text, re.MULTILINE):
        problems.append(f"{name} has no comment above it in defaults/main.yml")
    value = role.defaults[name]
    if value is None or (isinstance(value, str) and "{{" in value):
        return problems
    kind = _TYPES.get(option.get("type", "str"))
    wrong = kind and not isinstance(value, kind)
    if wrong or (kind is int and isinstance(value, bool)):
        problems.append(f"{name} is of type {option.get('type')} and its default is {value!r}")
    if option.get("choices") and value not in option["choices"]:
        problems.append(f"{name} has the default {value!r}, which is not among its choices")
    return problems


def _prose(value: Any) -> list[str]:
    """Return Ansible's description (a text or a list of texts) as paragraphs of Markdown."""
    texts = value if isinstance(value, list) else [value] if value else []
    # C(x) is Ansible's mark-up for code, the only one our descriptions use.
    return [re.sub(r"C\(([^)]*)\)", r"`\1`", str(text).strip()) for text in texts]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default_cell(role: Role, name: str, option: dict[str, Any]) -> str:
    if option.get("required"):
        return "required"
    value = role.defaults.get(name)
    if value is None:
        return ""
    if isinstance(value, str):
        text = value if value else '""'
    else:
        dumped = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
        text = dumped.removesuffix("...\n")
    return f"`{_cell(text)}`"


def _table(role: Role, options: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["| Variable | Type | Default | What it is |", "| --- | --- | --- | --- |"]
    for name, option in options.items():
        kind = option.get("type", "str")
        if option.get("elements"):
            kind += f" of {option['elements']}"
        about = " ".join(_prose(option.get("description")))
        if option.get("choices"):
            about += " One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + "."
        cells = (f"`{name}`", kind, _default_cell(role, name, option), _cell(about))
        lines.append("| " + " | ".join(cells) + " |")
        lines += _suboptions(name, option)
    return lines


def _suboptions(parent: str, option: dict[str, Any]) -> list[str]:
    rows = []
    for name, sub in (option.get("options") or {}).items():
        about = _cell(" ".join(_prose(sub.get("description"))))
        kind, default = sub.get("type", "str"), "required" if sub.get("required") else ""
        rows.append(f"| `{parent}.{name}` | {kind} | {default} | {about} |")
        rows += _suboptions(f"{parent}.{name}", sub)
    return rows


def _shared_settings(role: Role) -> list[str]:
    """Return a table of the settings for all roles, which inventory_check keeps in its vars."""
    path = role.folder / "vars/main.yml"
    variables = yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.exists() else {}
    options = variables.get(f"_{role.name}_top_level")
    return ["", "## Settings for all roles", "", *_table(role, options)] if options else []


def _tags(role: Role) -> list[str]:
    """Return the tags in the role's tasks/main.yml, in order of appearance."""
    path = role.folder / "tasks/main.yml"
    found: list[str] = []
    for task in yaml.safe_load(path.read_text(encoding="utf-8")) or [] if path.exists() else []:
        tags = task.get("tags") or []
        for tag in [tags] if isinstance(tags, str) else tags:
            if tag not in found:
                found.append(tag)
    return found


def readme(role: Role) -> str:
    """Return the text of the role's README.md."""
    main = role.entries.get("main", {})
    lines = [NOTE, "", f"# {role.name}", "", f"{main.get('short_description', '')}.", ""]
    for paragraph in _prose(main.get("description")):
        lines += [paragraph, ""]
    lines += ["## Variables", ""]
    lines += _table(role, role.options) if role.options else ["None."]
    lines += _shared_settings(role)
    for entry, spec in role.entries.items():
        if entry != "main":
            lines += ["", f"## Entry point `{entry}`", "", f"{spec['short_description']}.", ""]
            for paragraph in _prose(spec.get("description")):
                lines += [paragraph, ""]
            if spec.get("options") and spec["options"] != role.options:
                lines += _table(role, spec["options"])
            elif spec.get("options"):
                lines += ["Takes the same variables."]
    if tags := _tags(role):
        lines += ["", "## Tags", "", ", ".join(f"`{tag}`" for tag in tags)]
    return "\n".join(lines).rstrip() + "\n"


def find_roles(names: list[str], root: Path = ROOT) -> list[Role]:
    """Return the roles named, or all that have argument specs. Raises OSError for no role."""
    folders = [root / "roles" / name for name in names] or sorted(
        path.parent.parent for path in root.glob("roles/*/meta/argument_specs.yml")
    )
    return [Role(folder) for folder in folders]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when stale")
    parser.add_argument("roles", nargs="*", metavar="ROLE", help="role names (default: all)")
    options = parser.parse_args(arguments)
    problems = []
    for role in find_roles(options.roles, root):
        problems += disagreements(role)
        path, text = role.folder / "README.md", readme(role)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if options.check:
            problems.append(f"{role.name}: README.md is stale: run scripts/role_docs.py")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(root)}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
