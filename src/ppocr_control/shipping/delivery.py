"""An image brought to one host: the strategies in order, until one has done it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..errors import Error, LinkLost, Refused
from ..ssh.retry import despite_lost_links
from ..ssh.transport import Transport
from .job import Job
from .result import Result
from .state import HostState, give_names, probe
from .strategy import Delivery, Strategy


def deliver(
    job: Job, host: Transport, ways: Sequence[Strategy], state: HostState | None = None
) -> Result:
    """Bring an image to a host and give it its names, going on after broken links.

    Args:
        ways: see strategies.py; one that failed is not tried again.
        state: what the host said a moment ago, if it was asked.

    Raises:
        Error: it could not be done; a later call goes on from there.
    """
    started = time.monotonic()
    result, left = Result(host.name), list(ways)

    def attempt() -> None:
        nonlocal state
        now, state = state or probe(host, job.staging(host)), None  # another try has to ask again
        delivery = Delivery(job, host, now, result)
        found = delivery.state.find(job.image)
        if found is None:
            found = _bring(delivery, left)
            result.changed = True
        elif delivery.shipment().left_over:  # a run was killed while the engine loaded
            delivery.shipment().clean()
        with result.timed("name"):
            if give_names(host, now, found, job.names):
                result.changed = True
        for way in left:
            way.finish(delivery)
        result.image_id = found

    despite_lost_links(attempt, job.progress)
    result.seconds = round(time.monotonic() - started, 2)
    return result


def _bring(delivery: Delivery, left: list[Strategy]) -> str:
    """Try the strategies that are left; those that fail are taken out of the list."""
    for way in list(left):
        try:
            found = way.run(delivery)
        except (Refused, LinkLost):
            raise
        except Error as error:
            if way is left[-1]:
                raise
            left.remove(way)
            delivery.job.progress.say(f"{error}; {way.instead}")
            delivery.result.note(f"{way.reason}: {error}")
            delivery.look_again()
        else:
            if found:
                return found
    raise Error(f"{delivery.host.name}: no way is left to bring the image there")
