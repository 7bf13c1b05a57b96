"""The messages of a category, from <category>.yml beside this module, and their explanation.

An entry has these keys:

id        its name, unique in all categories
message   the text people see, or a list of such; {name:example} is what differs from run to run,
          and {name} is that without an example
from      where it comes from: a file of this project, by its path, or a program such as Docker
pattern   a regular expression that recognises it, where the text of `message` does not suffice
sample    actual output of the program, one text or several; required for programs
note      by language: an addition in parentheses after the text
cause     by language: where the text itself does not state it; required for programs we explain
remedy    by language: what to do

Causes and remedies are phrases without an end mark, and may have `code`. Entries stand in the order
in which they are recognised and documented.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """One message, or several with one remedy; the attributes are the keys of the file."""

    id: str
    messages: tuple[str, ...]
    origin: str
    pattern: str
    samples: tuple[str, ...]
    note: Mapping[str, str]
    cause: Mapping[str, str]
    remedy: Mapping[str, str]

    def advice(self) -> str:
        """Cause and remedy for a terminal: a phrase without an end mark."""
        return "; ".join(plain(text["en"]) for text in (self.cause, self.remedy) if text)


def plain(text: str) -> str:
    """A phrase of the catalogue without the marks of `code`."""
    return text.replace("`", "")


def shown(message: str) -> str:
    """The text of a message, with the example in each place, or dots."""
    parts = string.Formatter().parse(message)
    return "".join(words + (example or "..." if name else "") for words, name, example, _ in parts)


def expression(message: str, place: str = ".*?") -> str:
    """A regular expression for the text of a message, with ``place`` for what differs."""
    parts = string.Formatter().parse(message)
    return "".join(re.escape(words) + (place if name else "") for words, name, _, _ in parts)


def categories() -> list[str]:
    """The names of all categories."""
    return sorted(path.stem for path in FOLDER.glob("*.yml"))


@cache
def entries(category: str) -> tuple[Entry, ...]:
    """The entries of a category. Raises OSError if there is no such one, yaml.YAMLError."""
    text = (FOLDER / f"{category}.yml").read_text(encoding="utf-8")
    return tuple(_entries(yaml.safe_load(text)))


def _entries(items: list[dict[str, Any]]) -> Iterator[Entry]:
    for item in items:
        messages = _texts(item["message"])
        yield Entry(
            item["id"],
            messages,
            item["from"],
            item.get("pattern") or "|".join(map(expression, messages)),
            _texts(item.get("sample", [])),
            item.get("note", {}),
            item.get("cause", {}),
            item["remedy"],
        )


def _texts(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def find(text: str, category: str) -> Entry | None:
    """The first entry of a category that recognises a text."""
    return next((entry for entry in entries(category) if re.search(entry.pattern, text)), None)


def explain(text: str, category: str) -> str:
    """Cause and remedy of the first known message in a text, as a phrase; '' without one."""
    found = find(text, category)
    return found.advice() if found else ""
