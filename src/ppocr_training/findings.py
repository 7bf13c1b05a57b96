"""What a check found: one sentence each, with the place and the remedy."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any

#: Findings of one kind that are shown; the rest is counted.
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Finding:
    """An error that training would silently ignore.

    Attributes:
        check: name of the check, which ``trainer_accept`` may list.
        where: file and line, or the setting.
        sentence: what is wrong.
        remedy: what to do.
        fatal: no operator may accept it: the tools would hang or end.
    """

    check: str
    where: str
    sentence: str
    remedy: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}: {self.remedy} [{self.check}]"


@dataclasses.dataclass
class Report:
    """Findings, and facts about what was examined."""

    findings: list[Finding] = dataclasses.field(default_factory=list)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    accepted: frozenset[str] = frozenset()

    def add(self, findings: Iterable[Finding]) -> None:
        self.findings += findings

    @property
    def refusals(self) -> list[Finding]:
        """Findings that end the run: those that were not accepted."""
        return [each for each in self.findings if each.fatal or each.check not in self.accepted]

    def as_dict(self) -> dict[str, Any]:
        refused = self.refusals
        return {
            "refused": _few(refused),
            "accepted": _few([each for each in self.findings if each not in refused]),
            "facts": self.facts,
        }


def _few(findings: list[Finding]) -> list[str]:
    """The first findings of each check, and how many more there are."""
    by_check: dict[str, list[Finding]] = collections.defaultdict(list)
    for finding in findings:
        by_check[finding.check].append(finding)
    lines = []
    for check, found in by_check.items():
        lines += [str(each) for each in found[:_SHOWN]]
        if found[_SHOWN:]:
            lines.append(f"{len(found) - _SHOWN} more of {check}")
    return lines
