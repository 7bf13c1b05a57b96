"""Pages for people, written from settings: role READMEs and docs/settings.md."""

from __future__ import annotations

import yaml

from .source import WORDS, Role, Setting
from .text import flow, heading_of, note, pairs


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default_cell(setting: Setting, language: str) -> str:
    if setting.get("required"):
        return WORDS[language]["required"]
    if "default" not in setting.data:
        return ""
    value = setting.data["default"]
    text = (value or '""') if isinstance(value, str) else flow(value)
    return f"`{_cell(text)}`"


def _row(setting: Setting, language: str, parent: str = "") -> list[str]:
    kind = setting.get("type")
    if setting.get("elements"):
        kind += f" of {setting.get('elements')}"
    name, about = f"{parent}{setting.name}", _cell(setting.about(language))
    rows = [f"| `{name}` | {kind} | {_default_cell(setting, language)} | {about} |"]
    for option in setting.options:
        rows += _row(option, language, f"{name}.")
    return rows


def _tables(settings: list[Setting], language: str, level: str) -> list[str]:
    """One table, or one below each heading."""
    lines: list[str] = []
    for setting, before in pairs(settings):
        heading = heading_of(setting, before)
        if heading:
            lines += [*([""] if before else []), f"{level} {heading[language]}", ""]
        if heading or not before:
            lines += [WORDS[language]["head"], "| --- | --- | --- | --- |"]
        lines += _row(setting, language)
    return lines


def _tags(role: Role) -> list[str]:
    """The tags in the role's tasks/main.yml, in order of appearance."""
    path = role.path("tasks/main.yml")
    found: list[str] = []
    for task in yaml.safe_load(path.read_text(encoding="utf-8")) or [] if path.exists() else []:
        tags = task.get("tags") or []
        for tag in [tags] if isinstance(tags, str) else tags:
            if tag not in found:
                found.append(tag)
    return found


def readme(role: Role) -> str:
    """The text of a role's README.md."""
    lines = [note("settings.yml", "<!--"), "", f"# {role.name}", "", f"{role.summary['en']}.", ""]
    for paragraph in role.entries["main"].about:
        lines += [paragraph, ""]
    lines += ["## Settings", "", *(_tables(role.settings, "en", "###") or ["None."])]
    if role.shared:
        lines += ["", "## Settings for all roles", "", *_tables(role.shared, "en", "###")]
    for name, entry in role.entries.items():
        if name == "main":
            continue
        lines += ["", f"## Entry point `{name}`", "", f"{entry.summary}.", ""]
        for paragraph in entry.about:
            lines += [paragraph, ""]
        if entry.settings == role.settings:
            lines += ["Takes the same settings."]
        else:
            lines += _tables(entry.settings, "en", "###")
    if role.facts:
        lines += ["", "## Facts for other roles", "", "| Fact | What it is |", "| --- | --- |"]
        lines += [f"| `{fact.name}` | {_cell(fact.about('en'))} |" for fact in role.facts]
    if tags := _tags(role):
        lines += ["", "## Tags", "", ", ".join(f"`{tag}`" for tag in tags)]
    return "\n".join(lines).rstrip() + "\n"


_PAGE = {
    "en": (
        "# All settings",
        "[简体中文](settings.zh-CN.md)",
        "Set them in your inventory: in `group_vars/ppocr_hosts/` for all hosts, in "
        "`host_vars/<host>.yml` for one. `inventory/example` has each of them, commented out. A "
        "name that does not exist, or a value of another type, is refused before any host is "
        "touched. Defaults with `{{ }}` follow other settings.",
        "Settings for all roles",
        "They feed the defaults of several roles.",
        "Settings of role `{}`",
        "Entry point `{}`, for other roles",
    ),
    "zh": (
        "# 全部设置",
        "[English](settings.md)",
        "请写在自己的清单中：对所有主机有效的写在 `group_vars/ppocr_hosts/`，"
        "只对一台主机有效的写在 `host_vars/<主机>.yml`。`inventory/example` 中列有全部设置，"
        "均已注释掉。名称不存在或类型不符的设置，在接触任何主机之前就会被拒绝。"
        "带 `{{ }}` 的默认值取自其他设置。",
        "各角色共用的设置",
        "它们是多个角色的默认值来源。",
        "角色 `{}` 的设置",
        "入口 `{}`，供其他角色使用",
    ),
}


def page(roles: list[Role], language: str) -> str:
    """The text of docs/settings.md, or of its Chinese form."""
    title, other, intro, shared, shared_about, of_role, entry_point = _PAGE[language]
    lines = [
        note("roles/*/settings.yml", "<!--"),
        "",
        title,
        "",
        other,
        "",
        intro,
        "",
        f"## {shared}",
        "",
        shared_about,
        "",
    ]
    for role in roles:
        lines += _tables(role.shared, language, "###")
    for role in roles:
        lines += [
            "",
            f"## {of_role.format(role.name)}",
            "",
            role.summary[language] + WORDS[language]["end"],
            "",
        ]
        lines += _tables(role.settings, language, "###")
        for name, entry in role.entries.items():
            if name != "main" and entry.settings != role.settings:
                lines += ["", f"### {entry_point.format(name)}", ""]
                lines += _tables(entry.settings, language, "####")
    return "\n".join(lines) + "\n"
