#!/usr/bin/env -S python3 -IB
"""Write everything that is said about the roles' settings from roles/<role>/settings.yml.

    scripts/settings.py            writes the files
    scripts/settings.py --check    writes nothing; exit status 1 when a file is stale or a
                                   settings.yml is not in order

A settings.yml has the settings of one role in reading order, each with its name, type, default
and a description in English (en) and Chinese (zh). From them are written:

    roles/<role>/defaults/main.yml, meta/argument_specs.yml, README.md
    roles/inventory_check/vars/main/settings.yml       what is checked before any host is touched
    docs/settings.md, docs/settings.zh-CN.md
    inventory/example/group_vars/ppocr_hosts/*.yml     every setting, commented out
    src/ppocr_contract/fields.py, roles/hubserving/vars/main/container.yml
                                                       what the container reads

Keys of a setting besides these: elements, choices, required, no_log and options, as in argument
specs; range ([least, most] of an int), not_empty and host_path, which role inventory_check checks;
container: true, for what the container reads; example, for the example inventory; inventory:
false, for what has no place in an inventory; entries, the setting whose entries this list has; as,
the setting that an option stands for. An item with `group` alone is a heading. @version@ stands
for the version in pyproject.toml.

It needs PyYAML, which the control environment has (.venv/bin/python).
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("en", "zh")
_EXAMPLES = "inventory/example/group_vars/ppocr_hosts"
_CHECK_VARS = "roles/inventory_check/vars/main/settings.yml"
_CHECK_ROLE = "inventory_check"
_FIELDS = "src/ppocr_contract/fields.py"
_PASSED = "roles/hubserving/vars/main/container.yml"
#: How a setting becomes the text of a variable.
_AS_TEXT = {"int": " | string", "bool": " | bool | string", "list": " | join(',')"}
#: Roles in the order of the documentation; others follow by name.
_ORDER = ("hubserving", "ppocr_image", "nvidia_container_toolkit", "docker_engine", "preflight")
_WIDTH = 100
_VERSION = "@version@"
_TELLING = 100_000
_TYPES: dict[str, type | tuple[type, ...]] = {
    "bool": bool,
    "dict": dict,
    "float": (int, float),
    "int": int,
    "list": list,
    "path": str,
    "raw": object,
    "str": str,
}
_KEYS = {
    *("name", "type", "elements", "choices", "required", "no_log", "options", "default", "example"),
    *("container", "range", "not_empty", "host_path", "inventory", "entries", "as", *LANGUAGES),
}
_CHINESE = r"\u3000-\u303f\u4e00-\u9fff\uff00-\uffef\u201c\u201d"
#: What the documentation says in each language.
_WORDS = {
    "en": {
        "head": "| Setting | Type | Default | What it is |",
        "one of": " One of {}.",
        "range": " From {} to {}.",
        "least": " At least {}.",
        "empty": "empty",
        "as": "As `{}`.",
        "required": "required",
        "comma": ", ",
        "end": ".",
    },
    "zh": {
        "head": "| 设置 | 类型 | 默认值 | 说明 |",
        "one of": "可选 {}。",
        "range": "取值 {} 到 {}。",
        "least": "最小 {}。",
        "empty": "空",
        "as": "同 `{}`。",
        "required": "必填",
        "comma": "、",
        "end": "。",
    },
}


class SourceError(Exception):
    """A settings.yml does not have the form described above."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting, or one option of a setting's entries.

    Attributes:
        data: its mapping in settings.yml.
        texts: the YAML text of `default` and `example` as it stands there, at column 0.
        group: the heading it stands under, by language.
        stands_for: the setting this option takes type and meaning from (`as`).
    """

    data: Mapping[str, Any]
    texts: Mapping[str, str]
    group: Mapping[str, str] | None = None
    stands_for: Setting | None = None

    @property
    def name(self) -> str:
        return str(self.data["name"])

    def get(self, key: str) -> Any:
        """The value of a key, from the setting it stands for where it has none itself."""
        if key in self.data or not self.stands_for:
            return self.data.get(key)
        return None if key in ("required", "default") else self.stands_for.get(key)

    @property
    def options(self) -> list[Setting]:
        return self.data.get("options") or []

    def about(self, language: str) -> str:
        """Its description, with choices or range where the text does not say them."""
        words = _WORDS[language]
        if self.stands_for:
            return words["as"].format(self.stands_for.name)
        text = prose(self.data.get(language), language)
        choices = self.get("choices") or []
        if any(f"`{choice}`" not in text for choice in choices if choice):
            names = (f"`{choice}`" if choice else words["empty"] for choice in choices)
            text += words["one of"].format(words["comma"].join(names))
        if self.get("range"):
            # The largest bounds only keep slips of the pen out; they tell a reader nothing.
            key = "range" if self.get("range")[1] < _TELLING else "least"
            text += words[key].format(*self.get("range"))
        return text


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry point of a role: its summary (by language for main), about, and settings."""

    summary: Any
    about: list[str]
    settings: list[Setting]


class Role:
    """A role's settings.yml. Raises OSError, yaml.YAMLError or SourceError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        text = (folder / "settings.yml").read_text(encoding="utf-8")
        if _VERSION in text:
            text = text.replace(_VERSION, _version(folder.parents[1]))
        node, data = yaml.compose(text), yaml.safe_load(text)
        if not isinstance(data, dict) or set(data) - {
            *("summary", "about", "settings", "entry_points", "shared"),
        }:
            raise SourceError(f"{self.name}: settings.yml has keys that are not known")
        if not isinstance(data.get("summary"), dict):
            raise SourceError(f"{self.name}: summary has no en and zh")
        children = _children(node)
        self.summary: dict[str, str] = data["summary"]
        self.settings = _settings(text, children.get("settings"), data.get("settings"))
        self.shared = _settings(text, children.get("shared"), data.get("shared"))
        about = [prose(part) for part in data.get("about") or []]
        self.entries = {"main": Entry(self.summary["en"], about, self.settings)}
        nodes = _children(children.get("entry_points"))
        for name, entry in (data.get("entry_points") or {}).items():
            own = _settings(text, _children(nodes[name]).get("settings"), entry.get("settings"))
            self.entries[name] = Entry(
                entry["summary"],
                [prose(part) for part in entry.get("about") or []],
                self.settings if entry.get("same_settings") else own,
            )

    def path(self, name: str) -> Path:
        return self.folder / name


def _version(root: Path) -> str:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def _children(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {key.value: value for key, value in node.value} if node else {}


def _settings(text: str, node: yaml.Node | None, items: list[Any] | None) -> list[Setting]:
    """The settings of a list in settings.yml; headings become their group."""
    found, group = [], None
    for child, item in zip(node.value if node else [], items or [], strict=True):
        if not isinstance(item, dict) or not {"name", "group"} & set(item):
            raise SourceError(f"{item!r} has no name")
        if "group" in item:
            group = item["group"]
            continue
        values = _children(child)
        texts = {
            key: _text_at_margin(text, value, child.start_mark.column)
            for key, value in values.items()
            if key in ("default", "example")
        }
        data = dict(item)
        if "options" in item:
            data["options"] = _settings(text, values["options"], item["options"])
        found.append(Setting(data, texts, group))
    return found


def _text_at_margin(text: str, node: yaml.Node, column: int) -> str:
    """The text of a value after its key, with `column` fewer blanks before each further line."""
    lines = text[node.start_mark.index : node.end_mark.index].rstrip().split("\n")
    block = isinstance(node, yaml.CollectionNode) and not node.flow_style
    start = "\n" + " " * (node.start_mark.column - column) if block else " "
    return start + "\n".join([lines[0], *(line[column:] for line in lines[1:])])


def prose(text: Any, language: str = "en") -> str:
    """A description in one line; Chinese has no blanks where its lines were folded."""
    line = " ".join(str(text or "").split())
    if language == "en":
        return line
    wide = f"[{_CHINESE}]"
    marks = "[\u3000-\u303f\uff00-\uffef\u201c\u201d]"
    line = re.sub(rf"(?<={wide})\s+(?={wide})", "", line)
    return re.sub(rf"(?<={marks})\s+|\s+(?={marks})", "", line)


def find_roles(root: Path = ROOT) -> list[Role]:
    """All roles, in the order of the documentation. Raises SourceError."""
    roles = [Role(path.parent) for path in sorted(root.glob("roles/*/settings.yml"))]
    ranks = {name: rank for rank, name in enumerate(_ORDER)}
    roles.sort(key=lambda role: (ranks.get(role.name, len(ranks)), role.name))
    known = {setting.name: setting for role in roles for setting in [*role.settings, *role.shared]}
    for role in roles:
        for entry in role.entries.values():
            entry.settings[:] = [_resolved(setting, known) for setting in entry.settings]
    return roles


def _resolved(setting: Setting, known: Mapping[str, Setting]) -> Setting:
    for key in ("as", "entries"):
        if setting.data.get(key) not in (None, *known):
            raise SourceError(f"{setting.name}: {key} names {setting.data[key]}, no such setting")
    options = [_resolved(option, known) for option in setting.options]
    data = {**setting.data, **({"options": options} if options else {})}
    return dataclasses.replace(setting, data=data, stands_for=known.get(setting.data.get("as", "")))


# What has to hold


def problems(roles: Iterable[Role]) -> list[str]:
    """One sentence for each thing in the settings.yml files that is not in order."""
    found: list[str] = []
    owners: dict[str, str] = {}
    for role in roles:
        complaints = [f"summary has no {lang}" for lang in LANGUAGES if not role.summary.get(lang)]
        for setting in role.shared:
            complaints += _problems(setting, "ppocr_")
        for name, entry in role.entries.items():
            for setting in entry.settings:
                complaints += _problems(setting, f"{role.name}_", needs_default=name == "main")
        for setting in [*role.settings, *role.shared]:
            if setting.name in owners:
                complaints.append(f"{setting.name} is a setting of {owners[setting.name]} too")
            owners[setting.name] = role.name
        found += [f"{role.name}: {complaint}" for complaint in dict.fromkeys(complaints)]
    return found


def _problems(setting: Setting, prefix: str, needs_default: bool = True) -> Iterator[str]:
    name = setting.name
    if not name.startswith(prefix):
        yield f"{name} does not start with {prefix}"
    if unknown := set(setting.data) - _KEYS:
        yield f"{name} has keys that are not known: {', '.join(sorted(unknown))}"
    if setting.get("type") not in _TYPES:
        yield f"{name} has no type, or one that is not known"
    if not setting.stands_for:
        yield from _text_problems(setting)
    if setting.data.get("required") and "default" in setting.data:
        yield f"{name} is required and has a default"
    if needs_default and "default" not in setting.data and not setting.data.get("required"):
        yield f"{name} has no default (or say required: true)"
    for key in ("default", "example"):
        if key in setting.data:
            yield from _value_problems(setting, key, setting.data[key])
    for option in setting.options:
        yield from (f"{name}: {text}" for text in _problems(option, "", needs_default=False))


def _text_problems(setting: Setting) -> Iterator[str]:
    for language in LANGUAGES:
        text, end = prose(setting.data.get(language), language), _WORDS[language]["end"]
        if not text:
            yield f"{setting.name} has no description in {language}"
        elif not text.endswith(end):
            yield f"{setting.name}: its description in {language} does not end with {end}"
        elif bool(re.search("[\u4e00-\u9fff]", text)) != (language == "zh"):
            yield f"{setting.name}: its description in {language} is in another language"
        if any(")" in code for code in text.split("`")[1::2]):
            yield f"{setting.name}: ) between backquotes has no form in argument specs"


def _value_problems(setting: Setting, key: str, value: Any) -> Iterator[str]:
    said = f"{setting.name}: its {key} {value!r}"
    if isinstance(value, str) and "{{" in value:
        return
    kind = _TYPES.get(setting.get("type"), object)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        yield f"{said} is not of type {setting.get('type')}"
    elif setting.get("choices") and value not in setting.get("choices"):
        yield f"{said} is not among its choices"
    elif setting.get("range"):
        least, most = setting.get("range")
        if not least <= value <= most:
            yield f"{said} is outside its range"


# What is written


def _note(source: str, mark: str = "#") -> str:
    text = f"Written by scripts/settings.py from {source}: change that, then run it."
    return f"<!-- {text} -->" if mark == "<!--" else f"{mark} {text}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _heading(setting: Setting, before: Setting | None) -> Mapping[str, str] | None:
    """The heading above a setting, where it is the first of its group."""
    return setting.group if setting.group is not (before and before.group) else None


def _pairs(settings: list[Setting]) -> Iterator[tuple[Setting, Setting | None]]:
    return zip(settings, [None, *settings], strict=False)


def defaults(role: Role) -> str:
    """The text of a role's defaults/main.yml."""
    lines = ["---", _note(f"roles/{role.name}/settings.yml")]
    for setting, before in _pairs(role.settings):
        if heading := _heading(setting, before):
            lines += ["", f"# == {heading['en']} =="]
        if "default" in setting.data:
            lines += ["", *_comment(setting.about("en"))]
            lines.append(f"{setting.name}:{setting.texts['default']}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return dumped.removesuffix("...\n").strip()


def _folded(text: str, indent: int) -> list[str]:
    """A description as a folded YAML text, in Ansible's markup."""
    text, margin = re.sub(r"`([^`]*)`", r"C(\1)", text), " " * indent
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _spec(settings: Iterable[Setting], indent: int) -> list[str]:
    lines, margin = [], " " * indent
    for setting in settings:
        lines.append(f"{margin}{setting.name}:")
        for key in ("type", "elements", "choices", "required", "no_log"):
            if setting.get(key) is not None:
                lines.append(f"{margin}  {key}: {_flow(setting.get(key))}")
        lines += [f"{margin}  description: >-", *_folded(setting.about("en"), indent + 4)]
        if setting.options:
            lines += [f"{margin}  options:", *_spec(setting.options, indent + 4)]
    return lines


def argument_specs(role: Role) -> str:
    """The text of a role's meta/argument_specs.yml."""
    lines = ["---", _note(f"roles/{role.name}/settings.yml"), "argument_specs:"]
    for name, entry in role.entries.items():
        lines += [f"  {name}:", f"    short_description: {_flow(entry.summary)}"]
        if entry.about:
            lines.append("    description:")
        for paragraph in entry.about:
            lines += ["      - >-", *_folded(paragraph, 8)]
        if entry.settings:
            lines += ["    options:", *_spec(entry.settings, 6)]
    return "\n".join(lines) + "\n"


def check_vars(roles: list[Role]) -> str:
    """The text of what role inventory_check goes by, beside the argument specs."""
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
    lines = ["---", _note("roles/*/settings.yml"), "", "# Settings for all roles"]
    lines += ["_inventory_check_top_level:", *_spec(shared, 2)]
    lines += ["", "# Least and most of whole numbers, where it is not 1 to 1,000,000,000"]
    lines.append("_inventory_check_ranges:")
    lines += [f"  {name}: {_flow(pair)}" for name, pair in ranges.items()]
    for key, comment, variable in (
        ("not_empty", "Settings whose empty text means nothing", "not_empty"),
        ("host_path", "Settings that are paths on the hosts", "host_paths"),
    ):
        lines += ["", f"# {comment}", f"_inventory_check_{variable}:"]
        lines += [f"  - {name}" for name in sorted(settings) if settings[name].get(key)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default_cell(setting: Setting, language: str) -> str:
    if setting.get("required"):
        return _WORDS[language]["required"]
    if "default" not in setting.data:
        return ""
    value = setting.data["default"]
    text = (value or '""') if isinstance(value, str) else _flow(value)
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
    for setting, before in _pairs(settings):
        heading = _heading(setting, before)
        if heading:
            lines += [*([""] if before else []), f"{level} {heading[language]}", ""]
        if heading or not before:
            lines += [_WORDS[language]["head"], "| --- | --- | --- | --- |"]
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
    lines = [_note("settings.yml", "<!--"), "", f"# {role.name}", "", f"{role.summary['en']}.", ""]
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
    note = _note("roles/*/settings.yml", "<!--")
    lines = [note, "", title, "", other, "", intro, "", f"## {shared}", "", shared_about, ""]
    for role in roles:
        lines += _tables(role.shared, language, "###")
    for role in roles:
        lines += [
            "",
            f"## {of_role.format(role.name)}",
            "",
            role.summary[language] + _WORDS[language]["end"],
            "",
        ]
        lines += _tables(role.settings, language, "###")
        for name, entry in role.entries.items():
            if name != "main" and entry.settings != role.settings:
                lines += ["", f"### {entry_point.format(name)}", ""]
                lines += _tables(entry.settings, language, "####")
    return "\n".join(lines) + "\n"


def example(settings: list[Setting], source: str, about: str) -> str:
    """The text of one file of the example inventory."""
    lines = ["---", _note(source)]
    lines += _comment(
        f"{about}. Every setting with its default, commented out: uncomment what you change. For "
        "one host put it in host_vars/<host>.yml. In Chinese: docs/settings.zh-CN.md."
    )
    chosen = [setting for setting in settings if setting.data.get("inventory", True)]
    for setting, before in _pairs(chosen):
        if heading := _heading(setting, before):
            lines += ["", f"# == {heading['en']} =="]
        lines += ["", *_comment(setting.about("en"))]
        for key in ("default", "example"):
            if key in setting.data:
                lines += ["# For example:"] if key == "example" else []
                text = f"{setting.name}:{setting.texts[key]}"
                lines += [f"# {line}" for line in text.split("\n")]
    return "\n".join(lines) + "\n"


def _python(value: Any) -> str:
    """A value as the formatter writes it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_python, value))})"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def fields(settings: list[Setting]) -> str:
    """The text of the module with what the container reads, and its names, types and defaults.

    A list becomes the text of its items, separated by commas.
    """
    rows, attributes = [], []
    least, choices = {}, {}
    for setting in settings:
        name, value = setting.name.partition("_")[2], setting.data["default"]
        value = ",".join(value) if isinstance(value, list) else value
        rows.append(f"    {name}: {type(value).__name__} = {_python(value)}")
        attributes += textwrap.wrap(
            f"{name}: {setting.about('en')}".replace("`", ""),
            _WIDTH,
            initial_indent=" " * 8,
            subsequent_indent=" " * 12,
            break_on_hyphens=False,
        )
        if type(value) is int:
            least[name] = (setting.get("range") or [1])[0]
        if setting.get("choices"):
            choices[name] = tuple(setting.get("choices"))
    return "\n".join(
        [
            '"""What the container reads of the settings of role hubserving."""',
            "",
            _note("roles/hubserving/settings.yml"),
            "",
            "from __future__ import annotations",
            "",
            "import dataclasses",
            "",
            "#: The least each whole number may be.",
            "LEAST = {",
            *(f"    {_python(name)}: {number}," for name, number in least.items()),
            "}",
            "#: What a text may be.",
            "CHOICES = {",
            *(f"    {_python(name)}: {_python(texts)}," for name, texts in choices.items()),
            "}",
            "",
            "",
            "@dataclasses.dataclass(frozen=True)",
            "class Fields:",
            '    """The settings, ``hubserving_<field>``.',
            "",
            "    Attributes:",
            *attributes,
            '    """',
            "",
            *rows,
            "",
        ]
    )


def passed(settings: list[Setting]) -> str:
    """The text of the variables file with the container's environment."""
    lines = ["---", _note("roles/hubserving/settings.yml"), "_hubserving_passed:"]
    for setting in settings:
        field, text = setting.name.partition("_")[2].upper(), _AS_TEXT.get(setting.get("type"), "")
        lines.append(f'  PPOCR_{field}: "{{{{ {setting.name}{text} }}}}"')
    return "\n".join(lines) + "\n"


def outputs(roles: list[Role], root: Path = ROOT) -> dict[Path, str]:
    """Every file that is written, with its text."""
    files = {}
    for role in roles:
        source = f"roles/{role.name}/settings.yml"
        files[role.path("defaults/main.yml")] = defaults(role)
        files[role.path("meta/argument_specs.yml")] = argument_specs(role)
        files[role.path("README.md")] = readme(role)
        examples = root / _EXAMPLES
        files[examples / f"{role.name}.yml"] = example(role.settings, source, role.summary["en"])
        if role.shared:
            files[examples / "all_roles.yml"] = example(
                role.shared, source, "Settings for all roles"
            )
    files[root / _CHECK_VARS] = check_vars(roles)
    read = [s for role in roles for s in role.settings if s.data.get("container")]
    if read:
        files[root / _FIELDS] = fields(read)
        files[root / _PASSED] = passed(read)
    files[root / "docs/settings.md"] = page(roles, "en")
    files[root / "docs/settings.zh-CN.md"] = page(roles, "zh")
    return files


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when stale")
    options = parser.parse_args(arguments)
    try:
        roles = find_roles(root)
    except (SourceError, yaml.YAMLError) as error:
        print(error, file=sys.stderr)
        return 1
    found = problems(roles)
    files = {} if found else outputs(roles, root)
    for path, text in files.items():
        name = path.relative_to(root)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if options.check:
            found.append(f"{name} is stale: run scripts/settings.py")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    for path in sorted((root / _EXAMPLES).glob("*")) if files else []:
        if path not in files:
            found.append(
                f"{path.relative_to(root)} is not written by scripts/settings.py: remove it"
            )
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
