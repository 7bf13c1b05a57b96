"""Files of the roles and the example inventory, written from settings."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from .source import Role, Setting
from .text import WIDTH, comment, flow, heading_of, note, pairs


def defaults(role: Role) -> str:
    """The text of a role's defaults/main.yml."""
    lines = ["---", note(f"roles/{role.name}/settings.yml")]
    for setting, before in pairs(role.settings):
        if heading := heading_of(setting, before):
            lines += ["", f"# == {heading['en']} =="]
        if "default" in setting.data:
            lines += ["", *comment(setting.about("en"))]
            lines.append(f"{setting.name}:{setting.texts['default']}")
    return "\n".join(lines) + "\n"


def _folded(text: str, indent: int) -> list[str]:
    """A description as a folded YAML text, in Ansible's markup."""
    text, margin = re.sub(r"`([^`]*)`", r"C(\1)", text), " " * indent
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def spec(settings: Iterable[Setting], indent: int) -> list[str]:
    lines, margin = [], " " * indent
    for setting in settings:
        lines.append(f"{margin}{setting.name}:")
        for key in ("type", "elements", "choices", "required", "no_log"):
            if setting.get(key) is not None:
                lines.append(f"{margin}  {key}: {flow(setting.get(key))}")
        lines += [f"{margin}  description: >-", *_folded(setting.about("en"), indent + 4)]
        if setting.options:
            lines += [f"{margin}  options:", *spec(setting.options, indent + 4)]
    return lines


def argument_specs(role: Role) -> str:
    """The text of a role's meta/argument_specs.yml."""
    lines = ["---", note(f"roles/{role.name}/settings.yml"), "argument_specs:"]
    for name, entry in role.entries.items():
        lines += [f"  {name}:", f"    short_description: {flow(entry.summary)}"]
        if entry.about:
            lines.append("    description:")
        for paragraph in entry.about:
            lines += ["      - >-", *_folded(paragraph, 8)]
        if entry.settings:
            lines += ["    options:", *spec(entry.settings, 6)]
    return "\n".join(lines) + "\n"


def check_vars(roles: list[Role]) -> str:
    """The text of the rules of role inventory_check, beside the argument specs."""
    settings = {s.name: s for role in roles for s in [*role.shared, *role.settings]}
    shared = [setting for role in roles for setting in role.shared]
    ranges = {}
    for setting in settings.values():
        if setting.get("range"):
            ranges[setting.name] = setting.get("range")
        entries = settings.get(setting.get("entries") or "", setting).options
        for option in entries:
            if option.get("range"):
                ranges[f"{setting.name}.{option.name}"] = option.get("range")
    lines = ["---", note("roles/*/settings.yml"), "", "# Settings for all roles"]
    lines += ["_inventory_check_top_level:", *spec(shared, 2)]
    lines += ["", "# Least and most of whole numbers, where it is not 1 to 1,000,000,000"]
    lines.append("_inventory_check_ranges:")
    lines += [f"  {name}: {flow(pair)}" for name, pair in ranges.items()]
    for key, about, variable in (
        ("not_empty", "Settings whose empty text means nothing", "not_empty"),
        ("host_path", "Settings that are paths on the hosts", "host_paths"),
    ):
        lines += ["", f"# {about}", f"_inventory_check_{variable}:"]
        lines += [f"  - {name}" for name in sorted(settings) if settings[name].get(key)]
    lines += [
        "",
        "# What roles tell each other, which are no misspelt settings",
    ]
    lines.append("_inventory_check_facts:")
    lines += [f"  - {name}" for name in sorted(fact.name for role in roles for fact in role.facts)]
    return "\n".join(lines) + "\n"


def example(settings: list[Setting], source: str, about: str) -> str:
    """The text of one file of the example inventory."""
    lines = ["---", note(source)]
    lines += comment(
        f"{about}. Every setting with its default, commented out: uncomment what you change. For "
        "one host put it in host_vars/<host>.yml. In Chinese: docs/settings.zh-CN.md."
    )
    chosen = [setting for setting in settings if setting.data.get("inventory", True)]
    for setting, before in pairs(chosen):
        if heading := heading_of(setting, before):
            lines += ["", f"# == {heading['en']} =="]
        lines += ["", *comment(setting.about("en"))]
        for key in ("default", "example"):
            if key in setting.data:
                lines += ["# For example:"] if key == "example" else []
                text = f"{setting.name}:{setting.texts[key]}"
                lines += [f"# {line}" for line in text.split("\n")]
    return "\n".join(lines) + "\n"
