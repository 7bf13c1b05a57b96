"""A host that has the layers serves the others of its group, so that a slow link is crossed once.

The layers go to a folder of the relay's as they would to any host. There a small server
(onhost/relay_serve.py) gives them to who knows this run's token, and the others fetch them into
their staging folders (onhost/relay_fetch.py). From there all is as ever: sha256, load, compare. So
what a relay does not give, or gives altered, is sent from here. Both programs need a Python on the
host; they come over the connection and stay in no file.
"""

from __future__ import annotations

import json
import secrets
import shlex
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import room
from .hostimage import Shipment, probe
from .imagearchive import Image
from .layerstore import Blob, LayerStore, hexdigest
from .outcome import LinkLost, Trouble
from .progress import Progress, megabytes
from .retrying import despite_lost_links
from .transport import Transport

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
    """A relay that serves, or (with ``why``) does not. ``sent`` and ``resumed`` are bytes."""

    name: str
    port: int = 0
    token: str = field(default="", repr=False)
    why: str = ""
    sent: int = 0
    resumed: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def program(name: str, settings: dict[str, Any]) -> str:
    """The shell command that runs a program of onhost/; ps shows none of its settings."""
    text = (Path(__file__).parent / "onhost" / f"{name}.py").read_text()
    return (
        "python=$(command -v python3 || command -v /usr/libexec/platform-python) || "
        "{ echo 'it has no python3' >&2; exit 9; }\n"
        f"$python - {_NAME} <<'PROGRAM'\n{text}\nmain({settings!r})\nPROGRAM\n"
    )


def union(
    image: Image, blobs: dict[str, Blob], wants: Iterable[tuple[Sequence[str], Collection[str]]]
) -> list[str]:
    """The layers a relay has to serve, lowest first.

    Args:
        wants: of each host the layers it lacks, and the digests of compressed ones it has.
    """
    lacked = {d for layers, held in wants for d in layers if blobs[d].digest not in held}
    return [diff_id for diff_id in dict.fromkeys(image.diff_ids) if diff_id in lacked]


@dataclass
class Relay:
    """The relay's side: a folder of layers, and a server for it."""

    host: Transport
    image: Image
    store: LayerStore
    staging: str
    progress: Progress

    @property
    def _staging(self) -> str:
        return f"{self.staging}/relay"

    @property
    def _folder(self) -> str:
        return f"{self._staging}/{hexdigest(self.image.id)[:16]}"

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
        layers = union(self.image, blobs, [([*layers, *own], ())])
        token, port, sent = secrets.token_urlsafe(32), choice.port, 0

        def serve(trial: bool) -> str:
            settings = {
                "address": choice.address, "port": port, "token": token, "trial": trial,
                "blobs": [hexdigest(blobs[d].digest) for d in layers],
                "folder": self._folder, "idle": IDLE_SECONDS, "hours": HOURS,
            }  # fmt: skip
            return self._run(program("relay_serve", settings))

        def stock() -> None:
            nonlocal sent
            shipment = Shipment(
                self.host, probe(self.host, self._staging), self.image, blobs, self.store,
                self._staging, self.progress,
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
        return Session(choice.name, port, token, sent=sent, resumed=max(total - sent, 0))

    def _run(self, script: str) -> str:
        return self.host.run(script).checked(self.host.name)

    def _lend(self, blobs: Iterable[Blob]) -> str:
        """Give the relay's own shipment the same files, which take no room."""
        own = f"{self.staging}/{hexdigest(self.image.id)[:16]}"
        files = " ".join(hexdigest(blob.digest) for blob in blobs)
        return (
            f"set -e; umask 077; cd {shlex.quote(self._folder)}; mkdir -p {shlex.quote(own)}\n"
            f"for file in {files}; do ln -f $file {shlex.quote(own)}/$file; done"
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
            self._run(
                f"({self._end()})\nrm -rf {shlex.quote(self._folder)}\n"
                f"rmdir {shlex.quote(self._staging)} {shlex.quote(self.staging)} 2>/dev/null; true"
            )
        except Trouble as error:
            self.progress.say(f"{error}; its server ends by itself")


def _check_room(shipment: Shipment, layers: Sequence[str], own: Sequence[str]) -> None:
    """Raises Trouble where the relay cannot hold layers for others beside its own image."""
    loaded = [shipment.blobs[diff_id] for diff_id in own]
    copied = sum(blob.size for blob in loaded)
    to_load = copied + room.to_unpack(blob.raw_size for blob in loaded)
    short = room.lacking(list(shipment.state.df), [shipment.left(layers), to_load])
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
    shipment.open_staging(blobs)
    total = sum(blob.size for blob in blobs)
    first = have = total - shipment.left(layers)
    shipment.progress.start(host.name, total, have)
    script = program(
        "relay_fetch",
        {
            "address": address, "port": session.port, "token": session.token, "seconds": _SLICE,
            "folder": shipment.folder, "blobs": [[hexdigest(b.digest), b.size] for b in blobs],
        },
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
