"""Which ways are tried, and in what order. One is left out by taking its line away."""

from __future__ import annotations

from .job import Job
from .partial import PartialArchive
from .rebuilt import RebuiltLayers
from .registry import PulledFromRegistry, Pushed
from .relay import FetchedFromRelay, Session
from .strategy import Strategy
from .whole import WholeImage


def strategies(
    job: Job, pushed: Pushed | None = None, session: Session | None = None, address: str = ""
) -> list[Strategy]:
    """The ways to bring a job's image to a host, the best first.

    Args:
        pushed: the image in a registry, where it is in one.
        session: a relay that serves the host's group, and ``address``: where the host reaches it.
    """
    ways: list[Strategy] = []
    if pushed:
        ways.append(PulledFromRegistry(pushed))
        if job.mode == "registry":
            return ways
    if session:
        ways.append(FetchedFromRelay(session, address))
    if job.mode != "whole":
        ways += [RebuiltLayers(), PartialArchive()]
    return [*ways, WholeImage()]
