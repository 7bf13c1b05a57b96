"""A host that has the layers serves the others of its group, so that a slow link is crossed once.

The layers go to a folder of the relay's as they would to any host. There a small server
(onhost/relay_serve.py) gives them to who knows this run's token, and the others fetch them into
their staging folders (onhost/relay_fetch.py). From there all is as ever: sha256, load, compare. So
what a relay does not give, or gives altered, is sent from here. Both programs need a Python on the
host; they come over the connection and stay in no file. A layer that hosts rebuild from their own
files (layerdelta.py) does not go to the relay, unless it is smaller than all they need for that.
"""

from __future__ import annotations

import json
import secrets
import shlex
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import LinkLost, Trouble
from ..layers.image_archive import Image
from ..layers.store import Blob, LayerStore, hexdigest
from ..progress import Progress, megabytes
from ..ssh.python import program
from ..ssh.retry import despite_lost_links
from ..ssh.transport import Transport
from . import room
from . import staging as stagings
from .host_image import Shipment, probe

PORT = 18866
#: What the server is called in the relay's list of processes.
_NAME = "ppocr-relay"
#: The server ends when nobody has fetched for so many seconds, and after so many hours anyway.
IDLE_SECONDS, HOURS = 900, 4
#: Seconds of one call that fetches, so that progress is seen and nothing lives on by itself.
_SLICE = 10
#: A fetch without a byte for so many seconds, or refused so often in a row, is given up.
_STANDSTILL, _REFUSALS, _PAUSE = 60, 3, 2.0


@dataclass(frozen=True)
class Choice:
    """Which host relays, and how the others reach it.

    Attributes:
        name: as the host's transport is called.
        address: by which the others reach it.
        port: to listen on; 0 for any that is free.
    """

    name: str
    address: str
    port: int = PORT


@dataclass(frozen=True)
class Session:
    """A relay that serves, or (with ``why``) does not.

    Attributes:
        layers: what it serves.
        sent: bytes that went to it; ``resumed``, those it had from an earlier try.
    """

    name: str
    port: int = 0
    token: str = field(default="", repr=False)
    why: str = ""
    sent: int = 0
    resumed: int = 0
    layers: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Lack:
    """What one host wants of an image.

    Attributes:
        layers: those it lacks.
        held: digests of compressed ones it has.
        deltas: bytes to send for each of the layers that it can rebuild instead.
    """

    layers: Sequence[str]
    held: Collection[str] = ()
    deltas: Mapping[str, int] = field(default_factory=dict)


def shared(
    image: Image, blobs: Mapping[str, Blob], others: Iterable[Lack], relay: Lack | None
) -> tuple[list[str], list[str]]:
    """The layers a relay has to serve, and those it is sent for itself; both lowest first.

    A layer is left to each host's delta where each has one and all together are the smaller.
    """
    others, own = list(others), relay or Lack(())
    wants = [each for each in (*others, own) if each.layers]

    def crosses(layer: str) -> bool:
        lacking = [each.deltas for each in wants if layer in each.layers]
        whole = any(layer not in deltas for deltas in lacking)
        return whole or sum(deltas[layer] for deltas in lacking) >= blobs[layer].size

    def union(lacks: Iterable[Lack]) -> list[str]:
        lacked = {d for each in lacks for d in each.layers if blobs[d].digest not in each.held}
        return [d for d in dict.fromkeys(image.diff_ids) if d in lacked and crosses(d)]

    return union(others), union([own])


@dataclass
class Relay:
    """The relay's side: a folder of layers, and a server for it."""

    host: Transport
    image: Image
    store: LayerStore
    staging: str
    progress: Progress

    @property
    def _folder(self) -> str:
        return stagings.folder(self.staging, self.image, stagings.RELAY)

    def open(
        self, choice: Choice, blobs: dict[str, Blob], layers: Sequence[str], own: Sequence[str]
    ) -> Session:
        """Bring layers to the relay and let it serve them.

        Args:
            blobs: the compressed form of each layer.
            layers: those that others lack.
            own: those the relay lacks itself; they are put in its own staging folder as well.

        Returns:
            What hosts need to fetch; or why they cannot.
        """
        if not layers:  # each rebuilds what it lacks
            return Session(choice.name)
        served = {*layers, *own}
        layers = [d for d in dict.fromkeys(self.image.diff_ids) if d in served]
        token, port, sent = secrets.token_urlsafe(32), choice.port, 0

        def serve(trial: bool) -> str:
            settings = {
                "address": choice.address, "port": port, "token": token, "trial": trial,
                "blobs": [hexdigest(blobs[d].digest) for d in layers],
                "folder": self._folder, "idle": IDLE_SECONDS, "hours": HOURS,
            }  # fmt: skip
            return self._run(program("relay_serve", settings, _NAME))

        def stock() -> None:
            nonlocal sent
            state = probe(self.host, self.staging, stagings.RELAY)
            shipment = Shipment(
                self.host, state, self.image, blobs, self.store, self.staging, self.progress,
                stagings.RELAY,
            )  # fmt: skip
            _check_room(shipment, layers, own)
            try:
                shipment.send(layers)
            finally:
                sent += shipment.sent

        try:
            self._run(self._end())  # of a run that was killed
            serve(trial=True)  # what would fail is known before the layers are sent
            despite_lost_links(stock, self.progress)
            if own:
                self._run(self._lend([blobs[diff_id] for diff_id in own]))
            pid, port = (int(number) for number in serve(trial=False).split())
            self._run(f"echo {pid} >{shlex.quote(self._folder)}/pid")
        except Trouble as error:
            why = str(error).removeprefix(f"{self.host.name}: ").removeprefix(self.host.name)
            self.progress.say(f"{self.host.name} does not relay: {why}; sending from here instead")
            return Session(choice.name, why=why.strip(), sent=sent)
        total = sum(blobs[diff_id].size for diff_id in layers)
        self.progress.say(f"{self.host.name} relays {megabytes(total)} on port {port}")
        resumed = max(total - sent, 0)
        return Session(choice.name, port, token, sent=sent, resumed=resumed, layers=layers)

    def _run(self, script: str) -> str:
        return self.host.run(script).checked(self.host.name)

    def _lend(self, blobs: Iterable[Blob]) -> str:
        """Give the relay's own shipment the same files, which take no room."""
        own = shlex.quote(stagings.folder(self.staging, self.image))
        files = " ".join(hexdigest(blob.digest) for blob in blobs)
        return (
            f"{stagings.opening(self.staging, self.image)}\ncd {shlex.quote(self._folder)}\n"
            f"for file in {files}; do ln -f $file {own}/$file; done"
        )

    def _end(self) -> str:
        return (
            f"pid=$(cat {shlex.quote(self._folder)}/pid 2>/dev/null) || exit 0\n"
            f"grep -q {_NAME} /proc/$pid/cmdline 2>/dev/null || exit 0\n"
            "kill $pid; n=0\n"
            "while [ -d /proc/$pid ] && [ $n -lt 50 ]; do n=$((n + 1)); sleep 0.1; done"
        )

    def close(self) -> None:
        """End the server and remove its layers; where the relay is off, time ends the server."""
        try:
            removal = stagings.removal(self.staging, self.image, stagings.RELAY)
            self._run(f"({self._end()})\n{removal}")
        except Trouble as error:
            self.progress.say(f"{error}; its server ends by itself")


def _check_room(shipment: Shipment, layers: Sequence[str], own: Sequence[str]) -> None:
    """Raises Trouble where the relay cannot hold layers for others beside its own image."""
    loaded = [shipment.blobs[diff_id] for diff_id in own]
    copied = sum(blob.size for blob in loaded)
    to_load = copied + room.to_unpack(blob.raw_size for blob in loaded)
    to_send = sum(shipment.left(shipment.blobs[diff_id]) for diff_id in layers)
    short = room.lacking(list(shipment.state.df), [to_send, to_load])
    if short:
        raise Trouble(f"not enough room to relay: {'; '.join(short)}")


def fetch(
    shipment: Shipment, layers: Sequence[str], session: Session, address: str
) -> tuple[int, str]:
    """Have a host fetch layers from a relay, each from the byte where an earlier try ended.

    Returns:
        How many bytes came, and why no more did ("" where all did).

    Raises:
        Refused: the image would not run there, or not fit.
        Trouble: the host cannot fetch.
    """
    host, blobs = shipment.host, [shipment.blobs[diff_id] for diff_id in layers]
    shipment.check(layers)
    shipment.open_staging(None)  # what an earlier try left of others is still of use
    total = sum(blob.size for blob in blobs)
    first = have = total - sum(map(shipment.left, blobs))
    shipment.progress.start(host.name, total, have)
    script = program(
        "relay_fetch",
        {
            "address": address, "port": session.port, "token": session.token, "seconds": _SLICE,
            "folder": shipment.folder, "blobs": [[hexdigest(b.digest), b.size] for b in blobs],
        },
        _NAME,
    )  # fmt: skip
    moved, refusals = time.monotonic(), 0
    while have < total:
        said = _slice(host, script, have)
        grown, have = said["have"] - have, said["have"]
        shipment.progress.add(host.name, grown)
        if grown > 0:
            moved, refusals = time.monotonic(), 0
        refusals += said["refused"]
        if refusals == _REFUSALS or time.monotonic() - moved > _STANDSTILL:
            why = said["error"] or "nothing comes"
            return have - first, f"fetching from {address}:{session.port}: {why}"
        if grown <= 0:
            time.sleep(_PAUSE)
    return have - first, ""


def _slice(host: Transport, script: str, have: int) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(host.run(script).checked(host.name))
    except LinkLost as error:
        return {"have": have, "error": str(error), "refused": False}
    return said
