"""Checks the types of settings as they are given, because roles use them unconverted.

Ansible converts values when it checks an argument spec, but then gives the roles the original
value: the text ``secret1`` passes as a list and is used letter by letter, ``1.10`` without quotes
passes as the text ``1.1``. This module refuses a value unless it already has the declared type.
Numbers and booleans may also be text, as from ``-e name=value``, because the roles always convert
them (``| int``, ``| float``, ``| bool``).
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any

#: Texts that the filter ``bool`` of every supported Ansible understands.
BOOLEANS = {"true": True, "yes": True, "on": True, "1": True}
BOOLEANS |= {"false": False, "no": False, "off": False, "0": False}
#: Range of whole numbers without a declared range.
DEFAULT_RANGE = (1, 1_000_000_000)
#: Blanks and line breaks are allowed in these: arguments of a command, lines of a sources.list.
_FREE_TEXT = re.compile(r"hubserving_command\[|\w+_apt_mirror$")

# Plain notation only, which every program reads in the same way.
_FLOAT = re.compile(r"(0|[1-9][0-9]{0,8})([.][0-9]{1,9})?")
_INT = re.compile(r"-?[1-9][0-9]{0,18}|0")


def plain(value: Any) -> Any:
    """Return value, decrypted if it is a vault object of Ansible before 2.19."""
    return str(value) if getattr(value, "__ENCRYPTED__", False) else value


def problem(
    name: str,
    value: Any,
    option: Mapping[str, Any],
    ranges: Mapping[str, tuple[int, int]] | None = None,
) -> str:
    """Return one sentence, cause and remedy, if value is not what option declares; '' if it is.

    Args:
        name: the name in the message: a setting, or ``setting.key`` of an entry.
        value: as the operator gave it, templates resolved.
        option: its argument spec: type, elements, options.
        ranges: (minimum, maximum) of whole numbers by name.
    """
    value = plain(value)
    kind = option.get("type", "str")
    if value is None:
        return f"{name} has no value (null): give it one, or remove the line"
    if kind == "raw":
        return ""
    if kind == "bool":
        return _bool_problem(name, value)
    if kind in ("int", "float"):
        return _number_problem(name, value, kind, ranges or {})
    if kind in ("list", "dict"):
        check = _list_problem if kind == "list" else _dict_problem
        return check(name, value, option, ranges or {})
    return _text_problem(name, value, kind, option.get("choices") or ())


def _bool_problem(name: str, value: Any) -> str:
    fits = isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
    if fits or (isinstance(value, str) and value.lower() in BOOLEANS):
        return ""
    return f"{name} is {_kind_of(value)} and not true or false: write true or false"


def _number_problem(name: str, value: Any, kind: str, ranges: Mapping[str, tuple[int, int]]) -> str:
    if kind == "float":
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        text = isinstance(value, str) and _FLOAT.fullmatch(value)
        if text or (number and 0 <= value <= DEFAULT_RANGE[1]):
            return ""
        return f"{name} is {_kind_of(value)} and not a number: write it in digits, such as 2.5"
    low, high = ranges.get(name, DEFAULT_RANGE)
    whole = isinstance(value, int) and not isinstance(value, bool)
    text = isinstance(value, str) and _INT.fullmatch(value)
    if (whole or text) and low <= int(value) <= high:
        return ""
    what = "outside its range" if whole or text else f"{_kind_of(value)} and not a whole number"
    return f"{name} is {what}: write a whole number from {low} to {high}"


def _list_problem(
    name: str, value: Any, option: Mapping[str, Any], ranges: Mapping[str, tuple[int, int]]
) -> str:
    if not isinstance(value, (list, tuple)):
        of = option.get("elements", "str")
        shown = '[{"...": "..."}]' if of == "dict" else '["...", "..."]'
        return (
            f"{name} is {_kind_of(value)} and not a list: write a list, in a file {name}: {shown}, "
            f"on the command line -e '{{\"{name}\": {shown}}}'"
        )
    element = {
        "type": option.get("elements", "raw"),
        "options": option.get("options"),
    }
    for number, item in enumerate(value):
        # Entries of a list of mappings are named without their number, like their ranges.
        entry = name if element["type"] == "dict" else f"{name}[{number}]"
        if found := problem(entry, item, element, ranges):
            return found
        if item == "" and not _FREE_TEXT.match(entry):
            return f"{entry} is empty: remove that entry"
    return ""


def _dict_problem(
    name: str, value: Any, option: Mapping[str, Any], ranges: Mapping[str, tuple[int, int]]
) -> str:
    if not isinstance(value, Mapping):
        return (
            f"{name} is {_kind_of(value)} and not a mapping: write a mapping, in a file "
            f'{name}: {{"...": "..."}}, on the command line -e \'{{"{name}": {{"...": "..."}}}}\''
        )
    options = option.get("options") or {}
    for key, item in value.items():
        if key in options and (found := problem(f"{name}.{key}", item, options[key], ranges)):
            return found
    return ""


def _text_problem(name: str, value: Any, kind: str, choices: Any) -> str:
    if not isinstance(value, str):
        return _quotes_problem(name, value, choices)
    if not _FREE_TEXT.match(name) and (value != value.strip() or re.search(r"[\x00-\x1f]", value)):
        return f"{name} has blanks around it or a line break in it: remove them"
    if kind == "path" and value and not value.startswith(("/", "~")):
        return f"{name} is {value}, a relative path: give the full path, which begins with /"
    return ""


def _quotes_problem(name: str, value: Any, choices: Any) -> str:
    key = name.rpartition(".")[2]
    if isinstance(value, bool):
        fitting = [text for text, meant in BOOLEANS.items() if meant is value and text in choices]
        text, cause = (fitting or [str(value).lower()])[0], "what YAML makes of yes, no, on and off"
    elif isinstance(value, (int, float)):
        text, cause = str(value), "and YAML changes numbers: 1.10 becomes 1.1, 010 becomes 8"
    elif isinstance(value, datetime.date):
        text, cause = value.isoformat(), "what YAML makes of a date"
    else:
        return f"{name} is {_kind_of(value)} and not text: write text"
    return (
        f"{name} is {_kind_of(value)} and not text, {cause}: write it in quotes as it is meant, "
        f'such as {key}: "{text}" (in JSON too; in an INI inventory {key}="\'{text}\'")'
    )


def _kind_of(value: Any) -> str:
    """Return the kind of value without its content, which may be a secret."""
    if isinstance(value, bool):
        return json.dumps(value)
    for kinds, name in (
        ((int, float), "a number"),
        (str, "text" if value else "empty"),
        (Mapping, "a mapping"),
        ((list, tuple), "a list"),
        (datetime.date, "a date"),
    ):
        if isinstance(value, kinds):
            return name
    return "of another kind"
