"""What has to hold of the roles' settings.yml files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .source import LANGUAGES, WORDS, Role, Setting, prose

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
        for fact in role.facts:
            complaints += _fact_problems(fact, role, owners)
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


def _fact_problems(fact: Setting, role: Role, settings: Mapping[str, str]) -> Iterator[str]:
    if not fact.name.startswith(f"{role.name}_"):
        yield f"{fact.name} does not start with {role.name}_"
    if unknown := set(fact.data) - {"name", *LANGUAGES}:
        yield f"{fact.name} has keys that are not known: {', '.join(sorted(unknown))}"
    if fact.name in settings:
        yield f"{fact.name} is a setting and a fact"
    if not role.sets(fact.name):
        yield f"{fact.name} is a fact that no task sets"
    yield from _text_problems(fact)


def _text_problems(setting: Setting) -> Iterator[str]:
    for language in LANGUAGES:
        text, end = prose(setting.data.get(language), language), WORDS[language]["end"]
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
