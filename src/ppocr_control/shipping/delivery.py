"""Sending an image to hosts: find out what each lacks, prepare that once, send it, prove it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import LinkLost, Refused, Trouble
from ..layers import codec as codecs
from ..layers.image_archive import Image
from ..layers.source import ArchiveSource, EngineSource, Source
from ..layers.store import Blob, LayerStore
from ..progress import Progress, megabytes
from ..ssh.retry import despite_lost_links
from ..ssh.transport import Transport
from . import file_delta
from . import registry as registries
from . import relay as relays
from .host_image import HostState, Shipment, give_names, probe

_WITHOUT_FILES = "layers were sent without comparing files"
MODES = ("auto", "delta", "whole", "registry")


@dataclass
class Result:
    """What became of one host. Sizes in bytes, time in seconds."""

    host: str
    changed: bool = False
    mode: str = "none"
    blobs: int = 0
    sent: int = 0
    resumed: int = 0
    #: Bytes that came from a relay, and its name.
    relayed: int = 0
    relay: str = ""
    seconds: float = 0.0
    image_id: str = ""
    notes: list[str] = field(default_factory=list)
    error: str = ""
    status: int = 0
    #: Seconds of each step, those all hosts waited for together (look, compress) among them.
    steps: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count what happens inside as part of a step."""
        started = time.monotonic()
        try:
            yield
        finally:
            spent = self.steps.get(step, 0.0) + time.monotonic() - started
            self.steps[step] = round(spent, 2)

    def words(self) -> str:
        """One line for a person."""
        if self.error:
            return f"{self.host}: {self.error}"
        if not self.changed:
            return f"{self.host}: has it already; {'; '.join(self.notes) or 'nothing sent'}"
        text = f"{self.host}: {self.mode}, {self.blobs} layers, {megabytes(self.sent)} sent"
        if self.relayed:
            text += f", {megabytes(self.relayed)} from {self.relay}"
        if self.mode == "registry":
            text = f"{self.host}: pulled from the registry"
        if self.resumed:
            text += f" ({megabytes(self.resumed)} were there from an earlier try)"
        return f"{text}, {self.seconds:.1f} s" + "".join(f"; {note}" for note in self.notes)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def needed(state: HostState, image: Image, mode: str) -> list[str]:
    """The layers that have to be in the store before a host can be served, lowest first."""
    if state.find(image):
        return []
    if mode == "whole" or state.store == "containerd":
        return image.diff_ids  # every compressed form has to be known to describe the image
    return state.missing(image, {})


def prepare(
    states: Iterable[HostState], source: Source, store: LayerStore, mode: str, progress: Progress
) -> str:
    """Bring what any host lacks into the store, compressed once; returns the codec."""
    states = [state for state in states if not state.find(source.image)]
    codec = codecs.choose(state.version for state in states)
    wanted = {diff_id for state in states for diff_id in needed(state, source.image, mode)}
    fill(source, store, wanted, codec, progress)
    return codec


def fill(
    source: Source, store: LayerStore, diff_ids: Iterable[str], codec: str, progress: Progress
) -> None:
    """Bring layers into the store, lowest first, unless they are there in a usable form."""
    wanted = set(diff_ids)
    ordered = [d for d in source.image.diff_ids if d in wanted and not _kept(store, d, codec)]
    source.fill(store, ordered, codec, progress)


def _kept(store: LayerStore, diff_id: str, codec: str) -> Blob | None:
    # A gzip layer from an earlier shipment serves newer engines as well.
    return store.blob(diff_id, codec) or store.blob(diff_id, "gzip")


def usable(store: LayerStore, image: Image, codec: str) -> dict[str, Blob]:
    """The compressed form of each layer that is to be used."""
    found = {diff_id: _kept(store, diff_id, codec) for diff_id in image.diff_ids}
    return {diff_id: blob for diff_id, blob in found.items() if blob}


def deliver(
    host: Transport,
    image: Image,
    names: Sequence[str],
    store: LayerStore,
    codec: str,
    staging: str,
    mode: str,
    progress: Progress,
    consume: bool | None = None,
    state: HostState | None = None,
) -> Result:
    """Bring a prepared image to one host, going on after broken links.

    Args:
        consume: whether staged layers are removed while they load; None where room is short.
        state: what the host said a moment ago, if it was asked.

    Raises:
        NeedsWhole: a partial archive did not do.
        Trouble: it could not be done; a later call goes on from there.
    """
    started = time.monotonic()
    result = Result(host.name)

    def work() -> None:
        nonlocal state
        now, state = state or probe(host, staging), None  # another try has to ask again
        blobs = usable(store, image, codec)
        shipment = Shipment(
            host, now, image, blobs, store, staging, progress, whole=mode == "whole"
        )
        _bring(shipment, names, mode, consume, result)

    despite_lost_links(work, progress)
    result.seconds = round(time.monotonic() - started, 2)
    return result


def deliver_relayed(
    session: relays.Session,
    address: str,
    host: Transport,
    image: Image,
    names: Sequence[str],
    store: LayerStore,
    codec: str,
    staging: str,
    mode: str,
    progress: Progress,
    consume: bool | None = None,
) -> Result:
    """As deliver, to a relay or to a host of its group, which fetches from it what it gives."""
    started = time.monotonic()
    came, why, fetched = 0, session.why, Result(host.name)
    if host.name != session.name and not why:
        with fetched.timed("fetch"):
            try:
                state, blobs = probe(host, staging), usable(store, image, codec)
                if state.find(image) is None:
                    shipment = Shipment(
                        host, state, image, blobs, store, staging, progress, whole=mode == "whole"
                    )
                    layers = [d for d in _to_bring(shipment, mode) if d in session.layers]
                    if layers:
                        came, why = relays.fetch(shipment, layers, session, address)
            except Refused:
                raise
            except Trouble as error:
                why = str(error)
    result = deliver(host, image, names, store, codec, staging, mode, progress, consume)
    result.steps = fetched.steps | result.steps
    result.seconds = round(time.monotonic() - started, 2)
    if host.name == session.name:
        result.sent += session.sent
        result.resumed = session.resumed
        if session.layers:
            result.notes.append(f"{megabytes(session.sent + session.resumed)} served to its group")
    elif came:
        result.relay, result.relayed = session.name, came
        result.resumed = max(result.resumed - came, 0)
    if why and result.changed:
        result.notes.append(
            f"sent from here what the relay {session.name} did not give ({why}): see "
            "ppocr_image_relay, --relay"
        )
    return result


def _bring(
    shipment: Shipment, names: Sequence[str], mode: str, consume: bool | None, result: Result
) -> None:
    found = shipment.state.find(shipment.image)
    if found is None:
        result.mode = "whole" if mode == "whole" else "delta"
        try:
            found = _transfer(shipment, names, result.mode, consume, result)
        except (Refused, LinkLost):
            raise
        except Trouble as error:
            if result.mode == "whole":
                raise
            raise NeedsWhole(str(error)) from error
        with result.timed("clean"):
            shipment.clean()
        result.changed = True
    elif shipment.left_over:  # a run was killed while the engine loaded
        shipment.clean()
    with result.timed("name"):
        if give_names(shipment.host, shipment.state, found, names):
            result.changed = True
    result.image_id = found


def fetch(
    host: Transport, image: Image, names: Sequence[str], pushed: registries.Pushed, state: HostState
) -> Result:
    """Have a host pull the image from a registry, unless it has it.

    Raises:
        Refused: it would not run there, or not fit.
        Trouble: it could not, or got something else.
    """
    result = Result(host.name)
    started = time.monotonic()
    found = state.find(image)
    if found is None:
        state.check_architecture(host.name, image)
        registries.check_room(host, state, image, pushed.sizes)
        result.mode, result.changed = "registry", True
        with result.timed("pull"):
            found = registries.pull(host, state, image, pushed.reference)
    if give_names(host, state, found, names):
        result.changed = True
    if result.mode == "registry":
        registries.forget(host, pushed.reference)
    result.image_id, result.seconds = found, round(time.monotonic() - started, 2)
    return result


class NeedsWhole(Trouble):
    """The host did not take the partial archive: prepare every layer and deliver it whole."""


def _to_bring(shipment: Shipment, mode: str) -> list[str]:
    image = shipment.image
    missing = image.diff_ids if mode == "whole" else shipment.state.missing(image, shipment.blobs)
    return list(dict.fromkeys(missing))


def _transfer(
    shipment: Shipment, names: Sequence[str], mode: str, consume: bool | None, result: Result
) -> str:
    missing = _to_bring(shipment, mode)
    lost = [diff_id for diff_id in missing if diff_id not in shipment.blobs]
    if lost:
        raise NeedsWhole(f"{shipment.host.name} lacks layers that were not prepared: {len(lost)}")
    if mode == "delta" and not consume:  # rebuilding needs more room
        with result.timed("compare"):
            _compare(shipment, names, missing, result)
    try:
        return _move(shipment, missing, consume, result)
    except (Refused, LinkLost):
        raise
    except Trouble as error:
        if not shipment.deltas:
            raise
        result.notes.append(f"{_WITHOUT_FILES}: {error}")
        # Steps before that one may have been loaded, and their staged layers are gone.
        state = probe(shipment.host, shipment.staging)
        shipment = replace(shipment, state=state, deltas={}, count=0)
        return _move(shipment, _to_bring(shipment, mode), consume, result)


def _compare(
    shipment: Shipment, names: Sequence[str], missing: Sequence[str], result: Result
) -> None:
    """Find what of big layers can be rebuilt from files the host has."""
    state, image = shipment.state, shipment.image
    blobs = [shipment.blobs[diff_id] for diff_id in missing]
    # What is there already, from a relay or an earlier try, needs no comparing.
    big = [b for b in blobs if b.raw_size >= file_delta.SMALLEST and shipment.left(b)]
    near = file_delta.neighbour(state.images, image.diff_ids, [*names, *image.tags])
    if not (big and near and state.files_root):
        return
    shipment.progress.say(f"{shipment.host.name}: comparing with {near.name} there")
    try:
        shipment.deltas = file_delta.find(
            shipment.host, state.files_root, near, big, shipment.store, shipment.left
        )
    except LinkLost:
        raise
    except (Trouble, OSError) as error:
        result.notes.append(f"{_WITHOUT_FILES}: {error}")


def lacks(
    host: Transport,
    image: Image,
    names: Sequence[str],
    store: LayerStore,
    codec: str,
    staging: str,
    mode: str,
    progress: Progress,
    consume: bool | None = None,
    state: HostState | None = None,
) -> relays.Lack:
    """What a host of a relay's group wants, once what any lacks is in the store.

    Args: as of deliver.
    """
    state = state or probe(host, staging)
    layers = needed(state, image, mode)
    if not layers or mode == "whole":
        return relays.Lack(layers)
    blobs, missing = usable(store, image, codec), list(dict.fromkeys(layers))
    shipment = Shipment(host, state, image, blobs, store, staging, progress)
    # Where it cannot be compared, the relay serves it; the host's own delivery tells of the rest.
    with contextlib.suppress(Trouble):
        if not consume:
            _compare(shipment, names, missing, Result(host.name))
            shipment.check(missing)  # rebuilding needs more room
    deltas = {diff_id: shipment.left(delta.blob) for diff_id, delta in shipment.deltas.items()}
    return relays.Lack(layers, state.content, deltas)


def _move(shipment: Shipment, missing: Sequence[str], consume: bool | None, result: Result) -> str:
    tight = shipment.check(missing)
    before = shipment.sent
    try:
        with result.timed("send"):
            shipment.send(missing)
    finally:
        result.sent += shipment.sent - before
        result.resumed, result.blobs = shipment.resumed, shipment.count
    if tight and consume is None:
        result.notes.append("little room: staged layers were removed while they loaded")
    with result.timed("load"):
        found = shipment.load(missing, tight if consume is None else consume)
    if count := len(shipment.deltas):
        result.notes.append(f"{count} rebuilt there from files of an earlier image")
    return found


@dataclass
class _Fleet:
    """One shipment to many hosts."""

    source: EngineSource | ArchiveSource
    names: Sequence[str]
    store: LayerStore
    staging: Callable[[Transport], str]
    mode: str
    progress: Progress
    consume: bool | None
    codec: str = "gzip"
    pushed: registries.Pushed | None = None
    address: str = ""
    session: relays.Session | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, host: Transport) -> HostState | Result:
        try:
            return probe(host, self.staging(host))
        except Trouble as error:
            return _failed(host, error)

    def lacks(self, host: Transport, state: HostState) -> relays.Lack:
        return lacks(
            host, self.source.image, self.names, self.store, self.codec, self.staging(host),
            self.mode, self.progress, self.consume, state,
        )  # fmt: skip

    def send(self, host: Transport, seen: HostState | Result) -> Result:
        if isinstance(seen, Result):
            return seen
        try:
            if self.session:
                return deliver_relayed(
                    self.session, self.address, host, self.source.image, self.names, self.store,
                    self.codec, self.staging(host), self.mode, self.progress, self.consume,
                )  # fmt: skip
            if not self.pushed:
                return self._deliver(host, self.mode, seen)
            try:
                return fetch(host, self.source.image, self.names, self.pushed, seen)
            except (Refused, LinkLost):
                raise
            except Trouble as error:
                if self.mode == "registry":
                    raise
                return self._send_instead(host, seen, error)
        except NeedsWhole as error:
            return self._send_whole(host, error)
        except Trouble as error:
            return _failed(host, error)

    @contextlib.contextmanager
    def relaying(
        self, choice: relays.Choice, seen: dict[Transport, HostState | Result],
        wants: dict[Transport, relays.Lack],
    ) -> Iterator[None]:  # fmt: skip
        """Have a host serve the others meanwhile, if any of them lacks something."""
        image, blobs = self.source.image, usable(self.store, self.source.image, self.codec)
        host = next(each for each in seen if each.name == choice.name)
        own = wants.pop(host, None)
        layers, for_itself = relays.shared(image, blobs, wants.values(), own)
        state, self.address = seen[host], choice.address
        if layers and isinstance(state, Result):
            self.session = relays.Session(choice.name, why=state.error)
        if not layers or self.session:
            yield
            return
        relay = relays.Relay(host, image, self.store, self.staging(host), self.progress)
        try:
            self.session = relay.open(choice, blobs, layers, for_itself)
            yield
        finally:
            relay.close()

    def _deliver(
        self, host: Transport, mode: str, state: HostState | None, codec: str = ""
    ) -> Result:
        return deliver(
            host, self.source.image, self.names, self.store, codec or self.codec,
            self.staging(host), mode, self.progress, self.consume, state,
        )  # fmt: skip

    def _send_instead(self, host: Transport, seen: HostState, why: Trouble) -> Result:
        self.progress.say(f"{why}; sending the layers instead")
        with self.lock:
            codec = prepare([seen], self.source, self.store, self.mode, self.progress)
        result = self._deliver(host, self.mode, seen, codec)
        result.notes.append(f"sent over SSH because the registry did not do: {why}")
        return result

    def _send_whole(self, host: Transport, why: NeedsWhole) -> Result:
        self.progress.say(f"{why}; sending the whole image instead")
        try:
            with self.lock:
                fill(self.source, self.store, self.source.image.diff_ids, self.codec, self.progress)
            result = self._deliver(host, "whole", None)
        except Trouble as error:
            return _failed(host, error)
        result.notes.append(f"sent whole because the partial archive was not accepted: {why}")
        return result


def _failed(host: Transport, error: Trouble) -> Result:
    text = str(error).removeprefix(f"{host.name}: ").removeprefix(f"{host.name} ")
    return Result(host.name, error=text, status=error.status)


def ship(
    hosts: Sequence[Transport],
    source: EngineSource | ArchiveSource,
    names: Sequence[str],
    store: LayerStore,
    staging: Callable[[Transport], str],
    mode: str = "auto",
    progress: Progress | None = None,
    at_once: int = 20,
    consume: bool | None = None,
    registry: str = "",
    relay: relays.Choice | None = None,
) -> list[Result]:
    """Send an image to many hosts at once. A host that fails does not hold up the others.

    Args:
        names: tags to give it on the hosts.
        staging: the folder for layers on their way, by host.
        mode: delta, whole, registry, or auto (registry where one is named, else delta; delta is
            also what auto does on a host that cannot pull).
        registry: ``host[:port][/path]`` of a registry of one's own.
        relay: the one of the hosts that serves the others, where no registry does.
    """
    progress = progress or Progress("sending", quiet=True)
    fleet = _Fleet(source, names, store, staging, mode, progress, consume)
    with ThreadPoolExecutor(at_once) as pool:
        common = Result("all hosts")
        with common.timed("look"):
            seen = list(pool.map(fleet.look, hosts))
        states = [state for state in seen if isinstance(state, HostState)]
        if registry and mode in ("auto", "registry"):
            with common.timed("push"):
                fleet.pushed = _pushed(states, source, registry, mode, progress)
        if not fleet.pushed:
            with common.timed("compress"):
                fleet.codec = prepare(states, source, store, mode, progress)
        with contextlib.ExitStack() as stack:
            if relay and not fleet.pushed:
                with common.timed("relay"):
                    pairs = dict(zip(hosts, seen, strict=True))
                    asked = [host for host in hosts if isinstance(pairs[host], HostState)]
                    wants = dict(zip(asked, pool.map(fleet.lacks, asked, states), strict=True))
                    stack.enter_context(fleet.relaying(relay, pairs, wants))
            results = list(pool.map(fleet.send, hosts, seen))
    for result in results:
        result.steps = common.steps | result.steps
    return results


def _pushed(
    states: Iterable[HostState],
    source: EngineSource | ArchiveSource,
    registry: str,
    mode: str,
    progress: Progress,
) -> registries.Pushed | None:
    """What hosts are to pull; None where nobody lacks it, or auto has to do without."""
    if all(state.find(source.image) for state in states):
        return None
    try:
        return registries.push(source, registry, progress)
    except Trouble as error:
        if mode == "registry":
            raise
        progress.say(f"{error}; sending the layers instead")
        return None
