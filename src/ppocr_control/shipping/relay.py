"""A relay: a host that serves layers to the others of its group, so that a slow link is used once.

The layers are sent to a folder on the relay as to any host. A small server there
(on_host/relay_serve.py) gives them to clients that know this run's token, and the other hosts fetch
them into their staging folders (on_host/relay_fetch.py). The remaining steps are unchanged: check
the sha256, load, verify. Layers that a relay does not deliver, or delivers altered, are sent from
this machine. Both programs need a Python on the host; they arrive over the connection and are not
stored in files. A layer that hosts rebuild from their own files (rebuilt.py) is not sent to the
relay, unless it is smaller than all the deltas together.
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
from ..ssh.retry import retry
from ..ssh.transport import Transport
from . import disk_space
from . import staging as stagings
from .job import Job
from .rebuilt import find_deltas
from .shipment import Shipment
from .state import HostState
from .strategy import Delivery, Step, Strategy, missing, needed

PORT = 18866
#: Process title of the server on the relay.
_NAME = "ppocr-relay"
#: The server ends after so many seconds without a fetch, and after so many hours in any case.
IDLE_SECONDS, HOURS = 900, 4
#: Seconds per fetching call, so that progress is visible and no process outlives the run.
_SLICE = 10
#: A fetch ends after so many seconds without data, or so many refusals in a row.
_STANDSTILL, _REFUSALS, _PAUSE = 60, 3, 2.0


@dataclass(frozen=True)
class RelayHost:
    """The host that relays, and how the others reach it.

    Attributes:
        name: the name of the host's transport.
        address: where the other hosts reach it.
        port: to listen on; 0 for any free one.
    """

    name: str
    address: str
    port: int = PORT


@dataclass(frozen=True)
class Session:
    """A relay that serves layers, or (with ``why``) the reason it does not.

    Attributes:
        layers: the layers it serves.
        sent: bytes sent to it; ``resumed``: bytes it had from an earlier try.
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
class MissingLayers:
    """The layers of an image that one host lacks.

    Attributes:
        layers: their diff IDs.
        present: digests of compressed layers it has.
        deltas: bytes to send for each layer that it can rebuild instead.
    """

    layers: Sequence[str]
    present: Collection[str] = ()
    deltas: Mapping[str, int] = field(default_factory=dict)


def shared(
    image: Image,
    blobs: Mapping[str, Blob],
    others: Iterable[MissingLayers],
    relay: MissingLayers | None,
) -> tuple[list[str], list[str]]:
    """Return the layers a relay has to serve, and those it lacks itself; both lowest first.

    A layer is left out if every host has a delta for it and the deltas together are smaller.
    """
    others, of_relay = list(others), relay or MissingLayers(())
    incomplete = [each for each in (*others, of_relay) if each.layers]

    def is_sent(layer: str) -> bool:
        deltas = [each.deltas for each in incomplete if layer in each.layers]
        if any(layer not in each for each in deltas):
            return True
        return sum(each[layer] for each in deltas) >= blobs[layer].size

    def union(hosts: Iterable[MissingLayers]) -> list[str]:
        missing = {d for each in hosts for d in each.layers if blobs[d].digest not in each.present}
        return [d for d in image.layers if d in missing and is_sent(d)]

    return union(others), union([of_relay])


@dataclass
class Relay:
    """The folder of layers on the relay, and the server for it."""

    job: Job
    host: Transport

    @property
    def _staging(self) -> str:
        return self.job.staging(self.host)

    @property
    def _folder(self) -> str:
        return stagings.folder(self._staging, self.job.image, stagings.RELAY)

    def open(
        self, relay_host: RelayHost, layers: Sequence[str], for_itself: Sequence[str]
    ) -> Session:
        """Send stored layers to the relay and let it serve them.

        Args:
            layers: those that other hosts lack.
            for_itself: those the relay lacks; they also go into its own staging folder.

        Returns:
            What hosts need to fetch; or why they cannot.
        """
        if not layers:  # each host rebuilds its missing layers
            return Session(relay_host.name)
        served = {*layers, *for_itself}
        layers = [d for d in self.job.image.layers if d in served]
        blobs = self.job.supply.blobs
        token, port, sent = secrets.token_urlsafe(32), relay_host.port, 0

        def serve(trial: bool) -> str:
            settings = {
                "address": relay_host.address, "port": port, "token": token, "trial": trial,
                "blobs": [hexdigest(blobs[d].digest) for d in layers],
                "folder": self._folder, "idle": IDLE_SECONDS, "hours": HOURS,
            }  # fmt: skip
            return self._run(program("relay_serve", settings, _NAME))

        def send() -> None:
            nonlocal sent
            state = self.job.probe(self.host, stagings.RELAY)
            shipment = Shipment(self.job, self.host, state, blobs, stagings.RELAY)
            _check_disk_space(shipment, layers, for_itself)
            try:
                shipment.send(layers)
            finally:
                sent += shipment.sent

        try:
            self._run(self._stop_script())  # the server of a run that was killed
            serve(trial=True)  # so that it fails before the layers are sent
            retry(send, self.job.progress)
            if for_itself:
                self._run(self._link_script([blobs[diff_id] for diff_id in for_itself]))
            pid, port = (int(number) for number in serve(trial=False).split())
            self._run(f"echo {pid} >{shlex.quote(self._folder)}/pid")
        except Error as error:
            why = str(error).removeprefix(f"{self.host.name}: ").removeprefix(self.host.name)
            self.job.progress.say(
                f"{self.host.name} does not relay: {why}; sending from this machine instead"
            )
            return Session(relay_host.name, why=why.strip(), sent=sent)
        total = sum(blobs[diff_id].size for diff_id in layers)
        self.job.progress.say(f"{self.host.name} relays {megabytes(total)} on port {port}")
        resumed = max(total - sent, 0)
        return Session(relay_host.name, port, token, sent=sent, resumed=resumed, layers=layers)

    def _run(self, script: str) -> str:
        return self.host.run(script).checked(self.host.name)

    def _link_script(self, blobs: Iterable[Blob]) -> str:
        """Return shell code that hard-links layers into the relay's own staging folder."""
        staging = shlex.quote(stagings.folder(self._staging, self.job.image))
        files = " ".join(hexdigest(blob.digest) for blob in blobs)
        return (
            f"{stagings.opening(self._staging, self.job.image)}\ncd {shlex.quote(self._folder)}\n"
            f"for file in {files}; do ln -f $file {staging}/$file; done"
        )

    def _stop_script(self) -> str:
        return (
            f"pid=$(cat {shlex.quote(self._folder)}/pid 2>/dev/null) || exit 0\n"
            f"grep -q {_NAME} /proc/$pid/cmdline 2>/dev/null || exit 0\n"
            "kill $pid; n=0\n"
            "while [ -d /proc/$pid ] && [ $n -lt 50 ]; do n=$((n + 1)); sleep 0.1; done"
        )

    def close(self) -> None:
        """Stop the server and remove its layers; on an unreachable relay the server times out."""
        try:
            removal = stagings.removal(self._staging, self.job.image, stagings.RELAY)
            self._run(f"({self._stop_script()})\n{removal}")
        except Error as error:
            self.job.progress.say(f"{error}; its server will stop by itself")


def _check_disk_space(shipment: Shipment, layers: Sequence[str], for_itself: Sequence[str]) -> None:
    """Raise Error if the relay has no space for the served layers besides its own image."""
    loaded = [shipment.blobs[diff_id] for diff_id in for_itself]
    copied = sum(blob.size for blob in loaded)
    to_load = copied + disk_space.to_unpack(blob.raw_size for blob in loaded)
    to_send = sum(shipment.remaining(shipment.blobs[diff_id]) for diff_id in layers)
    short = disk_space.shortages(list(shipment.state.df), [to_send, to_load])
    if short:
        raise Error(f"not enough room to relay: {'; '.join(short)}")


def fetch(
    shipment: Shipment, layers: Sequence[str], session: Session, address: str
) -> tuple[int, str]:
    """Let a host fetch layers from a relay, each from where an earlier try ended.

    Returns:
        The number of bytes fetched, and why not all were ("" if all were).

    Raises:
        Refused: the image would not run on the host, or not fit.
        Error: the host cannot fetch.
    """
    host, blobs = shipment.host, [shipment.blobs[diff_id] for diff_id in layers]
    shipment.check(layers)
    shipment.open_staging(None)  # layers of an earlier try are still useful
    total = sum(blob.size for blob in blobs)
    first = have = total - sum(map(shipment.remaining, blobs))
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
        reply = _slice(host, script, have)
        grown, have = reply["have"] - have, reply["have"]
        shipment.job.progress.add(host.name, grown)
        if grown > 0:
            moved, refusals = time.monotonic(), 0
        refusals += reply["refused"]
        if refusals == _REFUSALS or time.monotonic() - moved > _STANDSTILL:
            why = reply["error"] or "no data arrives"
            return have - first, f"fetching from {address}:{session.port}: {why}"
        if grown <= 0:
            time.sleep(_PAUSE)
    return have - first, ""


def _slice(host: Transport, script: str, have: int) -> dict[str, Any]:
    try:
        reply: dict[str, Any] = json.loads(host.run(script).checked(host.name))
    except LinkLost as error:
        return {"have": have, "error": str(error), "refused": False}
    return reply


def missing_layers(job: Job, host: Transport, state: HostState) -> MissingLayers:
    """Return the layers a host of a relay's group lacks, once all of them are in the store."""
    layers = needed(state, job.image, job.mode)
    if not layers or job.mode == "whole":
        return MissingLayers(layers)
    shipment = Shipment(job, host, state, job.supply.blobs)
    wanted = missing(state, job.image, shipment.blobs)
    # If comparing fails, the relay serves the layers; the host's own delivery reports other errors.
    with contextlib.suppress(Error):
        find_deltas(shipment, wanted)
    deltas = {diff_id: shipment.remaining(delta.blob) for diff_id, delta in shipment.deltas.items()}
    return MissingLayers(layers, state.content, deltas)


class FetchedFromRelay(Strategy):
    """Fetch layers from a relay into the staging folder, from which another strategy loads them."""

    name = "relay"
    finishes = False

    def __init__(self, session: Session, address: str) -> None:
        self._session, self._address = session, address

    def plan(self, state: HostState, job: Job) -> list[Step]:
        return [Step("fetch", f"fetch the layers that the relay {self._session.name} serves")]

    def run(self, delivery: Delivery) -> str | None:
        if delivery.host.name == self._session.name:
            return None
        why = self._session.why
        if not why:
            with delivery.result.timed("fetch"):
                why = self._fetch(delivery)
        if why:
            delivery.result.note(
                f"layers that the relay {self._session.name} did not deliver were sent directly "
                f"({why}): see ppocr_image_relay, --relay"
            )
        return None

    def _fetch(self, delivery: Delivery) -> str:
        """Fetch layers; return why not all were fetched, or ''."""
        job, shipment = delivery.job, delivery.shipment()
        if job.mode == "whole":
            wanted = job.image.layers
        else:
            wanted = missing(delivery.state, job.image, shipment.blobs)
        layers = [layer for layer in wanted if layer in self._session.layers]
        if not layers:
            return ""
        try:
            fetched, why = fetch(shipment, layers, self._session, self._address)
        except Refused:
            raise
        except Error as error:
            return str(error)
        finally:
            delivery.refresh()  # the fetched layers are staged now
        if fetched:
            delivery.result.relay = self._session.name
            delivery.result.relayed += fetched
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
