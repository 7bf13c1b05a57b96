"""Delivers an image to one host: tries the strategies in order until one succeeds."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..errors import Error, LinkLost, Refused
from ..ssh.retry import retry
from ..ssh.transport import Transport
from .job import Job
from .result import Result
from .state import HostState, give_names
from .strategy import Delivery, Strategy


def deliver(
    job: Job, host: Transport, strategies: Sequence[Strategy], state: HostState | None = None
) -> Result:
    """Deliver an image to a host and tag it, resuming after broken connections.

    Args:
        strategies: see strategies.py; one that failed is not tried again.
        state: the host's state if it was probed a moment ago.

    Raises:
        Error: all strategies failed; a later call resumes.
    """
    started = time.monotonic()
    result, remaining = Result(host.name), list(strategies)

    def attempt() -> None:
        nonlocal state
        now, state = state or job.probe(host), None  # a retry has to probe again
        delivery = Delivery(job, host, now, result)
        found = delivery.state.find(job.image)
        if found is None:
            found = _deliver(delivery, remaining)
            result.changed = True
        elif delivery.shipment().has_leftovers:  # of a run that was killed while the engine loaded
            delivery.shipment().clean()
        with result.timed("name"):
            if give_names(host, now, found, job.names):
                result.changed = True
        for strategy in remaining:
            strategy.finish(delivery)
        result.image_id = found

    retry(attempt, job.progress)
    result.seconds = round(time.monotonic() - started, 2)
    return result


def _deliver(delivery: Delivery, remaining: list[Strategy]) -> str:
    """Try the remaining strategies; those that fail are removed from the list."""
    for strategy in list(remaining):
        try:
            found = strategy.run(delivery)
        except (Refused, LinkLost):
            raise
        except Error as error:
            if strategy is remaining[-1]:
                raise
            remaining.remove(strategy)
            delivery.job.progress.say(f"{error}; {strategy.instead}")
            delivery.result.note(f"{strategy.reason}: {error}")
            delivery.refresh()
        else:
            if found:
                return found
    raise Error(f"{delivery.host.name}: every strategy to deliver the image failed")
