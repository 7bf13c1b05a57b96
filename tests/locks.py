"""The locks of this repository, and what is known of their packages."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FLOORS = ROOT / "requirements/floors.toml"


def locks() -> list[str]:
    """Every lock of the repository, as a path relative to it."""
    folders = ("requirements", "images/ppocr", "tests/bench")
    return sorted(
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).glob("*.lock")
    )


def packages(lock: str) -> dict[str, str]:
    """Version of each package a lock names."""
    return dict(
        re.findall(r"^([a-z0-9][\w.-]*)==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE)
    )


@dataclass(frozen=True)
class Known:
    """The reviewed list."""

    floors: dict[str, dict[str, Any]]
    exceptions: list[dict[str, Any]]

    def excepted(self, lock: str, package: str) -> set[str]:
        """Holes that stay in a package of a lock; ``*`` for all."""
        return {
            hole
            for exception in self.exceptions
            if lock in exception["locks"] and fnmatch.fnmatch(package, exception["package"])
            for hole in exception["holes"]
        }


def known() -> Known:
    data = tomllib.loads(FLOORS.read_text())
    return Known(data["floors"], data["exceptions"])
