"""The version of this project. It stands in pyproject.toml; all else reads it or is renewed.

PaddleHub modules have a version of their own, in module.py and config.json: it is part of what
clients see, and a release does not change it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from . import ROOT

FORM = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
#: Examples that name a version of this project. Those in CHANGELOG.md and in generated files are
#: not renewed with the others.
_EXAMPLE = re.compile(
    r"(?P<before>\bppocr[:_-]|\bppocr-bundle-|\bppocr_version=|`(?=[\d.]+-gpu`))"
    r"(?P<version>\d+\.\d+\.\d+)\b"
)
_EXAMPLES_IN = ("*.md", "docs/*.md", "playbooks/*.yml", "scripts/*", "src/**/*.py")
_NOT_IN = ("CHANGELOG.md", "docs/settings.md", "docs/settings.zh-CN.md")
#: A line with a date is the record of a measurement, which stays true.
_DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")


def current(root: Path = ROOT) -> str:
    """The version in pyproject.toml."""
    data = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return str(data["project"]["version"])


def key(version: str) -> tuple[int, ...]:
    """By which versions are ordered."""
    return tuple(map(int, version.split(".")))


def example_files(root: Path = ROOT) -> Iterator[Path]:
    """Files whose examples may name a version."""
    for pattern in _EXAMPLES_IN:
        for path in sorted(root.glob(pattern)):
            if path.is_file() and path.relative_to(root).as_posix() not in _NOT_IN:
                yield path


def examples(text: str) -> list[str]:
    """The versions of this project that a text names in examples."""
    lines = (line for line in text.splitlines() if not _DATE.search(line))
    return [match["version"] for line in lines for match in _EXAMPLE.finditer(line)]


def renewed(text: str, old: str, new: str) -> str:
    """The text with its examples renewed from one version to a newer one.

    An example of a version to come, as of an update, stays newer than the version of the project.
    """
    *most, last = key(new)
    later = ".".join(map(str, [*most, last + 1]))

    def renew(match: re.Match[str]) -> str:
        named = match["version"]
        if named == old:
            return match["before"] + new
        is_late = key(old) < key(named) <= key(new)
        return match["before"] + (later if is_late else named)

    lines = text.splitlines(keepends=True)
    return "".join(line if _DATE.search(line) else _EXAMPLE.sub(renew, line) for line in lines)
