"""The common base of the strategies to deliver an image to a host, each in its own module.

strategies.py decides which are tried, and in what order. They do not know of each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..layers.image_archive import Image
from ..layers.store import Blob
from ..progress import megabytes
from ..ssh.transport import Transport
from .job import Job
from .result import Result
from .shipment import Shipment
from .state import CONTAINERD, HostState


@dataclass(frozen=True)
class Step:
    """A step of a plan.

    Attributes:
        action: pull, fetch, compare, compress, send or load.
        text: the same in readable form.
        layers: diff IDs concerned.
        size: bytes sent from this machine; None if not known beforehand.
    """

    action: str
    text: str
    layers: tuple[str, ...] = ()
    size: int | None = 0


@dataclass
class Delivery:
    """The delivery of an image to one host."""

    job: Job
    host: Transport
    state: HostState
    result: Result

    def shipment(self) -> Shipment:
        return Shipment(self.job, self.host, self.state, self.job.supply.blobs)

    def refresh(self) -> None:
        """Probe the host again after a change on it."""
        self.state = self.job.probe(self.host)


class Strategy:
    """A way to deliver an image to a host.

    Attributes:
        name: in plans.
        instead: what follows if it fails; ``reason``: how the result describes that.
        finishes: whether it delivers the image; else the next strategy's steps follow.
    """

    name = ""
    instead = ""
    reason = ""
    finishes = True

    def plan(self, state: HostState, job: Job) -> list[Step]:
        """Return its steps for a host that lacks the image, without doing or asking anything."""
        raise NotImplementedError

    def run(self, delivery: Delivery) -> str | None:
        """Deliver the image to a host that lacks it; return the ID it has on the host.

        None leaves it to the next strategy.

        Raises:
            Refused: no strategy can work on that host.
            LinkLost: the connection broke; another call resumes.
            Error: it failed; the next strategy may work.
        """
        raise NotImplementedError

    def finish(self, delivery: Delivery) -> None:
        """Clean up once the image is tagged, also if another strategy delivered it."""


def needed(state: HostState, image: Image, mode: str = "delta") -> list[str]:
    """Return the layers that must be in the store before a host is served, lowest first."""
    if state.find(image):
        return []
    if mode == "whole" or state.store == CONTAINERD:
        return image.diff_ids  # the image's description needs every compressed form
    return state.missing(image, {})


def missing(state: HostState, image: Image, blobs: dict[str, Blob]) -> list[str]:
    """Return the layers to send, each once, lowest first."""
    return list(dict.fromkeys(state.missing(image, blobs)))


def send_and_load(delivery: Delivery, shipment: Shipment, layers: list[str]) -> str:
    """Stage layers on a host and load them; return the ID the image has there."""
    result, little_room = delivery.result, delivery.job.little_room
    tight = shipment.check(layers)
    before = shipment.sent
    try:
        with result.timed("send"):
            shipment.send(layers)
    finally:
        result.sent += shipment.sent - before
        result.resumed, result.blobs = shipment.resumed, shipment.count
    if tight and little_room is None:
        result.note("disk space was short: staged layers were removed while they loaded")
    with result.timed("load"):
        found = shipment.load(layers, tight if little_room is None else little_room)
    with result.timed("clean"):
        shipment.clean()
    return found


def planned(state: HostState, job: Job, layers: list[str]) -> list[Step]:
    """Return the steps that send and load these layers."""
    blobs = job.supply.blobs
    unknown = tuple(layer for layer in layers if layer not in blobs)
    known = [blobs[layer] for layer in layers if layer in blobs]
    shipment_size = sum(state.remaining(job.image, blob) for blob in known)
    size = None if unknown else shipment_size
    steps = []
    if unknown:
        steps.append(Step("compress", f"compress {len(unknown)} layers on this machine", unknown))
    amount = megabytes(shipment_size) if size is not None else "their compressed size"
    staged = sum(blob.size for blob in known) - shipment_size
    resumed = f"; {megabytes(staged)} are on the host from an earlier try" if staged else ""
    steps.append(Step("send", f"send {amount}{resumed}", tuple(layers), size))
    return [*steps, Step("load", f"load {len(layers)} of {len(job.image.diff_ids)} layers")]
