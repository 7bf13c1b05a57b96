"""What the ways to bring an image to a host have in common; each is a module of its own.

strategies.py says which are tried, and in what order. None knows of another.
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
from .state import CONTAINERD, HostState, probe


@dataclass(frozen=True)
class Step:
    """A step of a plan.

    Attributes:
        action: what is done: pull, fetch, compare, compress, send or load.
        text: the same for a person.
        layers: diff IDs it is about.
        size: bytes that cross the link from here; None where they are not known beforehand.
    """

    action: str
    text: str
    layers: tuple[str, ...] = ()
    size: int | None = 0


@dataclass
class Delivery:
    """One host while an image is brought to it."""

    job: Job
    host: Transport
    state: HostState
    result: Result

    def shipment(self) -> Shipment:
        return Shipment(self.job, self.host, self.state, self.job.supply.blobs)

    def look_again(self) -> None:
        """Ask the host anew, after something was changed there."""
        self.state = probe(self.host, self.job.staging(self.host))


class Strategy:
    """One way to bring an image to a host.

    Attributes:
        name: in plans.
        instead: what is done where it fails, and ``reason``: how the result says so.
        finishes: whether its plan is whole; else the next strategy's steps follow.
    """

    name = ""
    instead = ""
    reason = ""
    finishes = True

    def plan(self, state: HostState, job: Job) -> list[Step]:
        """What it would do on a host that lacks the image; nothing is done or asked."""
        raise NotImplementedError

    def run(self, delivery: Delivery) -> str | None:
        """Bring the image to a host that lacks it; returns the host's ID of it.

        None leaves it to the next strategy.

        Raises:
            Refused: it could not work there in any way.
            LinkLost: the connection broke; the same again goes on from there.
            Error: it did not work; the next strategy may.
        """
        raise NotImplementedError

    def finish(self, delivery: Delivery) -> None:
        """Tidy up once the image has its names; also where another strategy brought it."""


def needed(state: HostState, image: Image, mode: str = "delta") -> list[str]:
    """The layers that have to be in the store before a host can be served, lowest first."""
    if state.find(image):
        return []
    if mode == "whole" or state.store == CONTAINERD:
        return image.diff_ids  # every compressed form has to be known to describe the image
    return state.missing(image, {})


def missing(state: HostState, image: Image, blobs: dict[str, Blob]) -> list[str]:
    """The layers to send, each once, lowest first."""
    return list(dict.fromkeys(state.missing(image, blobs)))


def send_and_load(delivery: Delivery, shipment: Shipment, layers: list[str]) -> str:
    """Stage layers on a host and load them; returns the host's ID of the image."""
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
        result.note("little room: staged layers were removed while they loaded")
    with result.timed("load"):
        found = shipment.load(layers, tight if little_room is None else little_room)
    with result.timed("clean"):
        shipment.clean()
    return found


def planned(state: HostState, job: Job, layers: list[str]) -> list[Step]:
    """The steps that send and load these layers."""
    blobs = job.supply.blobs
    unknown = tuple(layer for layer in layers if layer not in blobs)
    known = [blobs[layer] for layer in layers if layer in blobs]
    shipment_size = sum(state.left(job.image, blob) for blob in known)
    size = None if unknown else shipment_size
    steps = []
    if unknown:
        steps.append(Step("compress", f"compress {len(unknown)} layers here", unknown))
    amount = megabytes(shipment_size) if size is not None else "what that comes to"
    there = sum(blob.size for blob in known) - shipment_size
    resumed = f"; {megabytes(there)} are there from an earlier try" if there else ""
    steps.append(Step("send", f"send {amount}{resumed}", tuple(layers), size))
    return [*steps, Step("load", f"load {len(layers)} of {len(job.image.diff_ids)} layers")]
