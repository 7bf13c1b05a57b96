"""Sends an image to many hosts at once; missing layers are prepared once for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ..errors import Error
from ..layers.source import ArchiveSource, EngineSource
from ..ssh.transport import Transport
from . import registry as registries
from . import relay as relays
from .delivery import deliver
from .job import Job
from .plan import Plan, plan
from .result import Result
from .state import HostState
from .strategies import strategies_for
from .strategy import Strategy, needed


@dataclass
class Fleet:
    """The hosts that are to get the image of a job.

    Attributes:
        registry: ``host[:port][/path]`` of the operator's registry; empty for none.
        relay: the host that serves the others if no registry is used.
        at_once: number of hosts served at the same time.
    """

    job: Job
    hosts: Sequence[Transport]
    registry: str = ""
    relay: relays.RelayHost | None = None
    at_once: int = 20
    _states: dict[Transport, HostState] = field(default_factory=dict)
    _failed: dict[Transport, Error] = field(default_factory=dict)

    def plans(self) -> list[Plan]:
        """Probe each host and return what would be done there; nothing is changed."""
        pushed = registries.Pushed(self.registry, {}) if self._by_registry else None
        session = relays.Session(self.relay.name) if self.relay and not pushed else None
        strategies = strategies_for(self.job, pushed, session)
        with ThreadPoolExecutor(self.at_once) as pool:
            list(pool.map(self._probe, self.hosts))
        return [self._plan(host, strategies) for host in self.hosts]

    def _plan(self, host: Transport, strategies: Sequence[Strategy]) -> Plan:
        try:
            return plan(host.name, self._state(host), self.job, strategies)
        except Error as error:
            return Plan(host.name, error=_reason(host, error), status=error.status)

    def ship(self, source: EngineSource | ArchiveSource) -> list[Result]:
        """Send the image to all hosts. A failed host does not delay the others."""
        common = Result("all hosts")
        with ThreadPoolExecutor(self.at_once) as pool, contextlib.ExitStack() as stack:
            with common.timed("look"):
                list(pool.map(self._probe, self.hosts))
            pushed = session = None
            address = self.relay.address if self.relay else ""
            if self._by_registry:
                with common.timed("push"):
                    pushed = self._push(source)
            if not pushed:
                with common.timed("compress"):
                    self._compress()
                if self.relay:
                    with common.timed("relay"):
                        found = list(pool.map(self._missing_layers, self._states))
                        missing = dict(zip(self._states, found, strict=True))
                        session = stack.enter_context(self._relaying(self.relay, missing))
            strategies = strategies_for(self.job, pushed, session, address)
            results = list(pool.map(lambda host: self._deliver(host, strategies), self.hosts))
        for result in results:
            result.steps = common.steps | result.steps
        return results

    @property
    def _by_registry(self) -> bool:
        return bool(self.registry) and self.job.mode in ("auto", "registry")

    def _probe(self, host: Transport) -> None:
        try:
            self._states[host] = self.job.probe(host)
        except Error as error:
            self._failed[host] = error

    def _state(self, host: Transport) -> HostState:
        """The state of a probed host. Raises Error if probing failed."""
        if host in self._failed:
            raise self._failed[host]
        return self._states[host]

    def _push(self, source: EngineSource | ArchiveSource) -> registries.Pushed | None:
        """Push the image; None if no host needs it, or if that failed in mode auto."""
        if all(state.find(self.job.image) for state in self._states.values()):
            return None
        try:
            return registries.push(source, self.registry, self.job.progress)
        except Error as error:
            if self.job.mode == "registry":
                raise
            self.job.progress.say(f"{error}; sending the layers instead")
            return None

    def _compress(self) -> None:
        """Compress every layer that some host lacks into the store."""
        image, supply = self.job.image, self.job.supply
        states = [state for state in self._states.values() if not state.find(image)]
        supply.choose_codec(state.version for state in states)
        supply.ensure(layer for state in states for layer in needed(state, image, self.job.mode))

    def _missing_layers(self, host: Transport) -> relays.MissingLayers:
        return relays.missing_layers(self.job, host, self._states[host])

    @contextlib.contextmanager
    def _relaying(
        self, relay_host: relays.RelayHost, missing: dict[Transport, relays.MissingLayers]
    ) -> Iterator[relays.Session | None]:
        """Let a host serve the others inside the context, if any of them lacks layers."""
        host = next(each for each in self.hosts if each.name == relay_host.name)
        of_relay = missing.pop(host, None)
        layers, for_itself = relays.shared(
            self.job.image, self.job.supply.blobs, missing.values(), of_relay
        )
        if not layers:
            yield None
        elif host in self._failed:
            yield relays.Session(relay_host.name, why=_reason(host, self._failed[host]))
        else:
            relay = relays.Relay(self.job, host)
            try:
                yield relay.open(relay_host, layers, for_itself)
            finally:
                relay.close()

    def _deliver(self, host: Transport, strategies: Sequence[Strategy]) -> Result:
        try:
            state = self._state(host)
            # The relay received layers since it was probed, so it is probed again.
            is_relay = self.relay is not None and host.name == self.relay.name
            return deliver(self.job, host, strategies, None if is_relay else state)
        except Error as error:
            return Result(host.name, error=_reason(host, error), status=error.status)


def _reason(host: Transport, error: Error) -> str:
    """Return an error without the host's name, which the result names anyway."""
    return str(error).removeprefix(f"{host.name}: ").removeprefix(f"{host.name} ")
