"""What one run of the smoke tests found, and its machine-readable form."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from .options import Settings


@dataclass
class Row:
    """The answer to one picture sent to one module. Confidences are 0 to 1, time in ms.

    ``expected`` is None when nothing is known about the picture's text. ``lines`` are the
    answer's items as they came, for the boxes in the report.
    """

    module: str
    picture: Path
    expected: tuple[str, ...] | None = None
    recognised: tuple[str, ...] = ()
    min_confidence: float | None = None
    elapsed_ms: float | None = None
    problems: list[str] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems


@dataclass
class Check:
    """One check that is not about a single picture."""

    name: str
    problems: list[str] = field(default_factory=list)
    elapsed_ms: float | None = None

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems


@dataclass
class Run:
    """All rows and checks of one run. ``unreachable`` is the sentence that ended it, if any."""

    settings: Settings
    started: datetime = field(default_factory=lambda: datetime.now().astimezone())
    rows: list[Row] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    unreachable: str | None = None
    planned: int = 0
    #: Pictures that were not sent, and why: each a sentence.
    not_asked: list[str] = field(default_factory=list)
    _clock: float = field(default_factory=time.perf_counter)

    @property
    def ok(self) -> bool:
        """True when something was tested and nothing was wrong."""
        return (
            self.unreachable is None
            and bool(self.rows)
            and self.done == self.planned
            and self.failed == 0
        )

    @property
    def done(self) -> int:
        """Number of rows and checks that were carried out."""
        return len(self.rows) + len(self.checks)

    @property
    def failed(self) -> int:
        """Number of rows and checks with a problem."""
        return sum(not row.ok for row in self.rows) + sum(not check.ok for check in self.checks)

    def summary(self) -> str:
        """Return the run in one sentence."""
        name, url = self.settings.instance_name, self.settings.base_url
        where = url if name in url else f"{name} ({url})"
        if self.unreachable:
            return f"FAILED {where}, {self.unreachable}"
        if self.done < self.planned:
            return f"FAILED {where}, only {self.done} of {self.planned} checks were carried out"
        if self.failed:
            found = f"FAILED {where}, {self.failed} of {self.done} checks found a difference"
            problems = {problem for row in self.rows for problem in row.problems}
            return f"{found}: {problems.pop()}" if len(problems) == 1 else found
        if not self.ok:
            return f"FAILED {where}, nothing was checked"
        left_out = f", {len(self.not_asked)} pictures not sent" if self.not_asked else ""
        return f"PASSED {where}, {self.done} of {self.done} checks{left_out}"

    def verdict(self, table: Sequence[str]) -> dict[str, Any]:
        """Return what verdict.json holds; ``table`` is the terminal's table, line by line."""
        return {
            "ok": self.ok,
            "summary": self.summary(),
            "instance": self.settings.instance_name,
            "url": self.settings.base_url,
            "modules": list(self.settings.modules),
            "started": self.started.isoformat(timespec="seconds"),
            "duration_s": round(time.perf_counter() - self._clock, 2),
            "planned": self.planned,
            "done": self.done,
            "failed": self.failed,
            "not_asked": self.not_asked,
            "unreachable": self.unreachable,
            "pictures": [
                {
                    "module": row.module,
                    "file": row.picture.name,
                    "ok": row.ok,
                    "expected": None if row.expected is None else list(row.expected),
                    "recognised": list(row.recognised),
                    "min_confidence": row.min_confidence,
                    "elapsed_ms": row.elapsed_ms and round(row.elapsed_ms, 1),
                    "problems": row.problems,
                }
                for row in self.rows
            ],
            "checks": [
                {
                    "name": check.name,
                    "ok": check.ok,
                    "elapsed_ms": check.elapsed_ms and round(check.elapsed_ms, 1),
                    "problems": check.problems,
                }
                for check in self.checks
            ],
            "table": list(table),
        }
