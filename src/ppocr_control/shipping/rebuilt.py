"""Large layers rebuilt on the host from its own files: only the changes of a commit are sent."""

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
    """Compare large layers with files of an image on the host, and send what differs."""

    name = "rebuild"
    reason = "layers were sent without comparing files"
    instead = "sending the layers as they are"
    finishes = False

    def plan(self, state: HostState, job: Job) -> list[Step]:
        layers = missing(state, job.image, job.supply.blobs)
        base = _delta_base(state, job)
        blobs = job.supply.blobs
        large = [d for d in layers if d in blobs and blobs[d].raw_size >= file_delta.SMALLEST]
        if not base or job.little_room or not large:
            return []
        text = f"compare {len(large)} large layers with {base.name} on the host"
        return [Step("compare", text, tuple(large), None)]

    def run(self, delivery: Delivery) -> str | None:
        job, state, result = delivery.job, delivery.state, delivery.result
        if job.little_room:  # rebuilding needs more disk space
            return None
        job.supply.ensure(needed(state, job.image))
        shipment = delivery.shipment()
        layers = missing(state, job.image, shipment.blobs)
        with result.timed("compare"):
            shipment.deltas = compare(shipment, layers)
        if shipment.deltas:
            shipment.check(layers)  # drops the deltas if disk space is short
        if not shipment.deltas:
            return None
        found = send_and_load(delivery, shipment, layers)
        result.mode = "delta"
        result.note(f"{len(shipment.deltas)} rebuilt on the host from files of an earlier image")
        return found


def _delta_base(state: HostState, job: Job) -> file_delta.DeltaBase | None:
    if not state.files_root:
        return None
    return file_delta.delta_base(state.images, job.image.diff_ids, [*job.names, *job.image.tags])


def compare(shipment: Shipment, layers: Sequence[str]) -> dict[str, LayerDelta]:
    """Find the large layers that can be rebuilt from files of the host.

    Raises:
        Error: the host cannot read its files, or the store cannot be read.
    """
    state, job = shipment.state, shipment.job
    blobs = [shipment.blobs[diff_id] for diff_id in layers]
    # Layers already on the host, from a relay or an earlier try, need no comparison.
    large = [b for b in blobs if b.raw_size >= file_delta.SMALLEST and shipment.remaining(b)]
    base = _delta_base(state, job)
    if not large or base is None:
        return {}
    job.progress.say(f"{shipment.host.name}: comparing with {base.name} on the host")
    try:
        return file_delta.find(
            shipment.host, state.files_root, base, large, job.supply.store, shipment.remaining
        )
    except LinkLost:
        raise
    except OSError as error:
        raise Error(str(error)) from error
