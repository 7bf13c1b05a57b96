"""roles/<role>/settings.yml: the settings of a role, in reading order.

Each has its name, type, default and a description in English (en) and Chinese (zh). Keys
besides these: elements, choices, required, no_log and options, as in argument
specs; range ([least, most] of an int), not_empty and host_path, which role inventory_check checks;
container: true, for what the container reads; example, for the example inventory; inventory:
false, for what has no place in an inventory; entries, the setting whose entries this list has; as,
the setting that an option stands for. An item with `group` alone is a heading. @version@ stands
for the version in pyproject.toml.

The key `facts` lists what a role tells other roles and playbooks: variables that its tasks set,
each with its name, en and zh. They stand in the README, and role inventory_check knows them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .. import ROOT, version

LANGUAGES = ("en", "zh")
#: Roles in the order of the documentation; others follow by name.
_ORDER = ("hubserving", "ppocr_image", "nvidia_container_toolkit", "docker_engine", "preflight")
_VERSION = "@version@"
_TELLING = 100_000
_CHINESE = r"\u3000-\u303f\u4e00-\u9fff\uff00-\uffef\u201c\u201d"
#: What the documentation says in each language.
WORDS = {
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
        words = WORDS[language]
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
            text = text.replace(_VERSION, version.current(folder.parents[1]))
        node, data = yaml.compose(text), yaml.safe_load(text)
        if not isinstance(data, dict) or set(data) - {
            *("summary", "about", "settings", "entry_points", "shared", "facts"),
        }:
            raise SourceError(f"{self.name}: settings.yml has keys that are not known")
        if not isinstance(data.get("summary"), dict):
            raise SourceError(f"{self.name}: summary has no en and zh")
        children = _children(node)
        self.summary: dict[str, str] = data["summary"]
        self.settings = _settings(text, children.get("settings"), data.get("settings"))
        self.shared = _settings(text, children.get("shared"), data.get("shared"))
        self.facts = _settings(text, children.get("facts"), data.get("facts"))
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

    def sets(self, fact: str) -> bool:
        """Whether a task registers the fact, or has it as a key (set_fact)."""
        pattern = re.compile(rf"^\s+(?:register: {fact}\s*$|{fact}:)", re.MULTILINE)
        files = self.path("tasks").glob("*.yml")
        return any(pattern.search(path.read_text(encoding="utf-8")) for path in files)


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
