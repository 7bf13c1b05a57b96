"""What the files written from settings have in common."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from .source import Setting

WIDTH = 100


def note(source: str, mark: str = "#") -> str:
    text = f"Written by scripts/settings.py from {source}: change that, then run it."
    return f"<!-- {text} -->" if mark == "<!--" else f"{mark} {text}"


def comment(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def heading_of(setting: Setting, before: Setting | None) -> Mapping[str, str] | None:
    """The heading above a setting, where it is the first of its group."""
    return setting.group if setting.group is not (before and before.group) else None


def pairs(settings: list[Setting]) -> Iterator[tuple[Setting, Setting | None]]:
    return zip(settings, [None, *settings], strict=False)


def flow(value: Any) -> str:
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return dumped.removesuffix("...\n").strip()
