"""A host that has the layers serves the others of its group, so that a slow link is crossed once.

The layers go to a folder of the relay's as they would to any host. There a small server
(on_host/relay_serve.py) gives them to who knows this run's token, and the others fetch them into
their staging folders (on_host/relay_fetch.py). From there all is as ever: sha256, load, compare. So
what a relay does not give, or gives altered, is sent from here. Both programs need a Python on the
host; they come over the connection and stay in no file. A layer that hosts rebuild from their own
files (rebuilt.py) does not go to the relay, unless it is smaller than all they need for that.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import Error, LinkLost, Refused
from ..layers.image_archive import Image
from ..layers.store import Blob, hexdigest
from ..progress import megabytes
from ..ssh.python import program
from ..ssh.retry import despite_lost_links
from ..ssh.transport import Transport
from . import room
from . import staging as stagings
from .job import Job
from .rebuilt import compare
from .shipment import Shipment
from .state import HostState, probe
from .strategy import Delivery, Step, Strategy, missing, needed

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

    job: Job
    host: Transport

    @property
    def _staging(self) -> str:
        return self.job.staging(self.host)

    @property
    def _folder(self) -> str:
        return stagings.folder(self._staging, self.job.image, stagings.RELAY)

    def open(self, choice: Choice, layers: Sequence[str], own: Sequence[str]) -> Session:
        """Bring layers, which are in the store, to the relay and let it serve them.

        Args:
            layers: those that others lack.
            own: those the relay lacks itself; they are put in its own staging folder as well.

        Returns:
            What hosts need to fetch; or why they cannot.
        """
        if not layers:  # each rebuilds what it lacks
            return Session(choice.name)
        served = {*layers, *own}
        layers = [d for d in dict.fromkeys(self.job.image.diff_ids) if d in served]
        blobs = self.job.supply.blobs
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
            state = probe(self.host, self._staging, stagings.RELAY)
            shipment = Shipment(self.job, self.host, state, blobs, stagings.RELAY)
            _check_room(shipment, layers, own)
            try:
                shipment.send(layers)
            finally:
                sent += shipment.sent

        try:
            self._run(self._end())  # of a run that was killed
            serve(trial=True)  # what would fail is known before the layers are sent
            despite_lost_links(stock, self.job.progress)
            if own:
                self._run(self._lend([blobs[diff_id] for diff_id in own]))
            pid, port = (int(number) for number in serve(trial=False).split())
            self._run(f"echo {pid} >{shlex.quote(self._folder)}/pid")
        except Error as error:
            why = str(error).removeprefix(f"{self.host.name}: ").removeprefix(self.host.name)
            self.job.progress.say(
                f"{self.host.name} does not relay: {why}; sending from here instead"
            )
            return Session(choice.name, why=why.strip(), sent=sent)
        total = sum(blobs[diff_id].size for diff_id in layers)
        self.job.progress.say(f"{self.host.name} relays {megabytes(total)} on port {port}")
        resumed = max(total - sent, 0)
        return Session(choice.name, port, token, sent=sent, resumed=resumed, layers=layers)

    def _run(self, script: str) -> str:
        return self.host.run(script).checked(self.host.name)

    def _lend(self, blobs: Iterable[Blob]) -> str:
        """Give the relay's own shipment the same files, which take no room."""
        own = shlex.quote(stagings.folder(self._staging, self.job.image))
        files = " ".join(hexdigest(blob.digest) for blob in blobs)
        return (
            f"{stagings.opening(self._staging, self.job.image)}\ncd {shlex.quote(self._folder)}\n"
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
            removal = stagings.removal(self._staging, self.job.image, stagings.RELAY)
            self._run(f"({self._end()})\n{removal}")
        except Error as error:
            self.job.progress.say(f"{error}; its server ends by itself")


def _check_room(shipment: Shipment, layers: Sequence[str], own: Sequence[str]) -> None:
    """Raises Error where the relay cannot hold layers for others beside its own image."""
    loaded = [shipment.blobs[diff_id] for diff_id in own]
    copied = sum(blob.size for blob in loaded)
    to_load = copied + room.to_unpack(blob.raw_size for blob in loaded)
    to_send = sum(shipment.left(shipment.blobs[diff_id]) for diff_id in layers)
    short = room.lacking(list(shipment.state.df), [to_send, to_load])
    if short:
        raise Error(f"not enough room to relay: {'; '.join(short)}")


def fetch(
    shipment: Shipment, layers: Sequence[str], session: Session, address: str
) -> tuple[int, str]:
    """Have a host fetch layers from a relay, each from the byte where an earlier try ended.

    Returns:
        How many bytes came, and why no more did ("" where all did).

    Raises:
        Refused: the image would not run there, or not fit.
        Error: the host cannot fetch.
    """
    host, blobs = shipment.host, [shipment.blobs[diff_id] for diff_id in layers]
    shipment.check(layers)
    shipment.open_staging(None)  # what an earlier try left of others is still of use
    total = sum(blob.size for blob in blobs)
    first = have = total - sum(map(shipment.left, blobs))
    shipment.job.progress.start(host.name, total, have)
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
        shipment.job.progress.add(host.name, grown)
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


def lack(job: Job, host: Transport, state: HostState) -> Lack:
    """What a host of a relay's group wants, once what any lacks is in the store."""
    layers = needed(state, job.image, job.mode)
    if not layers or job.mode == "whole":
        return Lack(layers)
    shipment = Shipment(job, host, state, job.supply.blobs)
    wanted = missing(state, job.image, shipment.blobs)
    # Where it cannot be compared, the relay serves it; the host's own delivery tells of the rest.
    with contextlib.suppress(Error):
        if not job.little_room:  # rebuilding needs more room
            shipment.deltas = compare(shipment, wanted)
            shipment.check(wanted)
    deltas = {diff_id: shipment.left(delta.blob) for diff_id, delta in shipment.deltas.items()}
    return Lack(layers, state.content, deltas)


class FetchedFromRelay(Strategy):
    """Fetch what a relay serves into the staging folder; another strategy loads it from there."""

    name = "relay"
    finishes = False

    def __init__(self, session: Session, address: str) -> None:
        self._session, self._address = session, address

    def plan(self, state: HostState, job: Job) -> list[Step]:
        return [Step("fetch", f"fetch what the relay {self._session.name} serves")]

    def run(self, delivery: Delivery) -> str | None:
        if delivery.host.name == self._session.name:
            return None
        why = self._session.why
        if not why:
            with delivery.result.timed("fetch"):
                why = self._fetch(delivery)
        if why:
            delivery.result.note(
                f"sent from here what the relay {self._session.name} did not give ({why}): see "
                "ppocr_image_relay, --relay"
            )
        return None

    def _fetch(self, delivery: Delivery) -> str:
        """Why not all came, or nothing."""
        job, shipment = delivery.job, delivery.shipment()
        if job.mode == "whole":
            layers = list(dict.fromkeys(job.image.diff_ids))
        else:
            layers = missing(delivery.state, job.image, shipment.blobs)
        layers = [layer for layer in layers if layer in self._session.layers]
        if not layers:
            return ""
        try:
            came, why = fetch(shipment, layers, self._session, self._address)
        except Refused:
            raise
        except Error as error:
            return str(error)
        finally:
            delivery.look_again()  # what came is staged
        if came:
            delivery.result.relay = self._session.name
            delivery.result.relayed += came
        return why

    def finish(self, delivery: Delivery) -> None:
        result, session = delivery.result, self._session
        if delivery.host.name == session.name:
            result.sent += session.sent
            result.resumed = session.resumed
            if session.layers:
                result.note(f"{megabytes(session.sent + session.resumed)} served to its group")
        else:
            result.resumed = max(result.resumed - result.relayed, 0)
