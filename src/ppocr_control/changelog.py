"""CHANGELOG.md, in the form of keepachangelog.com: a section for each version, newest first."""

from __future__ import annotations

import re

UNRELEASED = "Unreleased"
_SECTION = re.compile(r"^## (?P<title>.+)$", re.M)


def section(text: str, title: str) -> str | None:
    """What stands below a heading, which may have a date after the version; None without it."""
    found = list(_SECTION.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    for match, end in zip(found, ends, strict=True):
        if match["title"].split(" ")[0] == title:
            return text[match.end() : end].strip()
    return None


def has_entries(text: str) -> bool:
    """Whether there is anything below Unreleased to release."""
    return bool(re.search(r"^- \S", section(text, UNRELEASED) or "", re.M))


def released(text: str, version: str, date: str) -> str:
    """The text with what was unreleased below a version, and nothing unreleased."""
    heading = f"## {UNRELEASED}\n\n## {version} - {date}"
    return re.sub(rf"^## {UNRELEASED}$", heading, text, count=1, flags=re.M)
