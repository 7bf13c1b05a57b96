"""Large layers rebuilt on the host from files it has: what a commit changed is all that is sent."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Error, LinkLost
from . import file_delta
from .file_delta import LayerDelta
from .job import Job
from .shipment import Shipment
from .state import HostState
from .strategy import Delivery, Step, Strategy, missing, needed, send_and_load


class RebuiltLayers(Strategy):
    """Compare large layers with files of an image there, and send what differs."""

    name = "rebuild"
    reason = "layers were sent without comparing files"
    instead = "sending the layers as they are"
    finishes = False

    def plan(self, state: HostState, job: Job) -> list[Step]:
        layers = missing(state, job.image, job.supply.blobs)
        near = _near(state, job)
        blobs = job.supply.blobs
        large = [d for d in layers if d in blobs and blobs[d].raw_size >= file_delta.SMALLEST]
        if not near or job.little_room or not large:
            return []
        text = f"compare {len(large)} large layers with {near.name} there"
        return [Step("compare", text, tuple(large), None)]

    def run(self, delivery: Delivery) -> str | None:
        job, state, result = delivery.job, delivery.state, delivery.result
        if job.little_room:  # rebuilding needs more room
            return None
        job.supply.ensure(needed(state, job.image))
        shipment = delivery.shipment()
        layers = missing(state, job.image, shipment.blobs)
        with result.timed("compare"):
            shipment.deltas = compare(shipment, layers)
        if shipment.deltas:
            shipment.check(layers)  # leaves none where room is short
        if not shipment.deltas:
            return None
        found = send_and_load(delivery, shipment, layers)
        result.mode = "delta"
        result.note(f"{len(shipment.deltas)} rebuilt there from files of an earlier image")
        return found


def _near(state: HostState, job: Job) -> file_delta.Neighbour | None:
    if not state.files_root:
        return None
    return file_delta.neighbour(state.images, job.image.diff_ids, [*job.names, *job.image.tags])


def compare(shipment: Shipment, layers: Sequence[str]) -> dict[str, LayerDelta]:
    """Find what of large layers can be rebuilt from files the host has.

    Raises:
        Error: the host cannot say what they hold, or the store cannot be read.
    """
    state, job = shipment.state, shipment.job
    blobs = [shipment.blobs[diff_id] for diff_id in layers]
    # What is there already, from a relay or an earlier try, needs no comparing.
    large = [b for b in blobs if b.raw_size >= file_delta.SMALLEST and shipment.left(b)]
    near = _near(state, job)
    if not large or near is None:
        return {}
    job.progress.say(f"{shipment.host.name}: comparing with {near.name} there")
    try:
        return file_delta.find(
            shipment.host, state.files_root, near, large, job.supply.store, shipment.left
        )
    except LinkLost:
        raise
    except OSError as error:
        raise Error(str(error)) from error
