"""What would be done on a host, from what it said: nothing is asked, read or changed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .job import Job
from .state import HostState
from .strategy import Step, Strategy


@dataclass(frozen=True)
class Plan:
    """The steps on one host; none where it has the image.

    Attributes:
        otherwise: strategies that are tried, in this order, where these steps fail.
    """

    host: str
    steps: Sequence[Step] = ()
    otherwise: Sequence[str] = ()
    error: str = ""
    status: int = 0

    def summary(self) -> str:
        """Some lines for a person."""
        if self.error:
            return f"{self.host}: {self.error}"
        if not self.steps:
            return f"{self.host}: has it already; nothing to send"
        lines = [f"  {number}. {step.text}" for number, step in enumerate(self.steps, 1)]
        if self.otherwise:
            lines.append(f"  where that fails: {', then '.join(self.otherwise)}")
        return "\n".join([f"{self.host}:", *lines])

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan(host: str, state: HostState, job: Job, ways: Sequence[Strategy]) -> Plan:
    """The steps of the first strategy that brings the image, and of those that prepare for it.

    Raises:
        Refused: the image would not run there.
    """
    if state.find(job.image):
        return Plan(host)
    state.check_architecture(host, job.image)
    steps: list[Step] = []
    for number, way in enumerate(ways):
        steps += way.plan(state, job)
        if way.finishes:
            otherwise = tuple(other.name for other in ways[number + 1 :])
            names = Step("name", f"compare it, and name it {', '.join(job.names)}")
            return Plan(host, (*steps, names), otherwise)
    return Plan(host, steps)
