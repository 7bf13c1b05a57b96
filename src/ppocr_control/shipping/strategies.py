"""Which strategies are tried, and in what order. Removing its line disables one."""

from __future__ import annotations

from .job import Job
from .partial import PartialArchive
from .rebuilt import RebuiltLayers
from .registry import PulledFromRegistry, Pushed
from .relay import FetchedFromRelay, Session
from .strategy import Strategy
from .whole import WholeImage


def strategies_for(
    job: Job, pushed: Pushed | None = None, session: Session | None = None, address: str = ""
) -> list[Strategy]:
    """Return the strategies to deliver a job's image to a host, best first.

    Args:
        pushed: the image in a registry, if it was pushed to one.
        session: a relay that serves the host's group; ``address``: where the host reaches it.
    """
    strategies: list[Strategy] = []
    if pushed:
        strategies.append(PulledFromRegistry(pushed))
        if job.mode == "registry":
            return strategies
    if session:
        strategies.append(FetchedFromRelay(session, address))
    if job.mode != "whole":
        strategies += [RebuiltLayers(), PartialArchive()]
    return [*strategies, WholeImage()]
