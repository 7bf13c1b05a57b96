"""What the container reads, written from settings: fields in Python, environment in YAML."""

from __future__ import annotations

import textwrap
from typing import Any

from .source import Setting
from .text import WIDTH, note

#: How a setting becomes the text of a variable.
_AS_TEXT = {"int": " | string", "bool": " | bool | string", "list": " | join(',')"}


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
            WIDTH,
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
            note("roles/hubserving/settings.yml"),
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
    lines = ["---", note("roles/hubserving/settings.yml"), "_hubserving_passed:"]
    for setting in settings:
        field, text = setting.name.partition("_")[2].upper(), _AS_TEXT.get(setting.get("type"), "")
        lines.append(f'  PPOCR_{field}: "{{{{ {setting.name}{text} }}}}"')
    return "\n".join(lines) + "\n"
