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
        blobs = job.supply.blobs
        layers = missing(state, job.image, blobs)
        base = _delta_base(state, job)
        large = [d for d in layers if d in blobs and blobs[d].raw_size >= file_delta.SMALLEST]
        if not base or job.little_room or not large:
            return []
        text = f"compare {len(large)} large layers with {base.name} on the host"
        return [Step("compare", text, tuple(large), None)]

    def run(self, delivery: Delivery) -> str | None:
        job, state, result = delivery.job, delivery.state, delivery.result
        job.supply.ensure(needed(state, job.image))
        shipment = delivery.shipment()
        layers = missing(state, job.image, shipment.blobs)
        with result.timed("compare"):
            find_deltas(shipment, layers)
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


def find_deltas(shipment: Shipment, layers: Sequence[str]) -> None:
    """Set the shipment's deltas: of large layers that can be rebuilt from files of the host.

    Raises:
        Refused: the image would not run there, or not fit.
        Error: the host cannot read its files, or the store cannot be read.
    """
    if shipment.job.little_room:  # rebuilding needs more disk space
        return
    shipment.deltas = _compare(shipment, layers)
    if shipment.deltas:
        shipment.check(layers)  # drops them if disk space is short


def _compare(shipment: Shipment, layers: Sequence[str]) -> dict[str, LayerDelta]:
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
