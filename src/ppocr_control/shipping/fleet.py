"""An image brought to many hosts at once: what any lacks is prepared once."""

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
from .state import HostState, probe
from .strategies import strategies
from .strategy import Strategy, needed


@dataclass
class Fleet:
    """Hosts that are to have the image of a job.

    Attributes:
        registry: ``host[:port][/path]`` of a registry of one's own; empty for none.
        relay: the one of the hosts that serves the others, where no registry does.
        at_once: hosts at a time.
    """

    job: Job
    hosts: Sequence[Transport]
    registry: str = ""
    relay: relays.Choice | None = None
    at_once: int = 20
    _states: dict[Transport, HostState] = field(default_factory=dict)
    _failed: dict[Transport, Error] = field(default_factory=dict)

    def plans(self) -> list[Plan]:
        """What would be done on each host, which is asked what it has; nothing is changed."""
        pushed = registries.Pushed(self.registry, {}) if self._by_registry else None
        session = relays.Session(self.relay.name) if self.relay and not pushed else None
        ways = strategies(self.job, pushed, session)
        with ThreadPoolExecutor(self.at_once) as pool:
            return list(pool.map(lambda host: self._plan(host, ways), self.hosts))

    def _plan(self, host: Transport, ways: Sequence[Strategy]) -> Plan:
        try:
            state = probe(host, self.job.staging(host))
            return plan(host.name, state, self.job, ways)
        except Error as error:
            return Plan(host.name, error=_said(host, error), status=error.status)

    def ship(self, source: EngineSource | ArchiveSource) -> list[Result]:
        """Bring the image to all hosts. One that fails does not hold up the others."""
        common = Result("all hosts")
        with ThreadPoolExecutor(self.at_once) as pool, contextlib.ExitStack() as stack:
            with common.timed("look"):
                list(pool.map(self._look, self.hosts))
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
                        wants = list(pool.map(self._lack, self._states))
                        lacks = dict(zip(self._states, wants, strict=True))
                        session = stack.enter_context(self._relaying(self.relay, lacks))
            ways = strategies(self.job, pushed, session, address)
            results = list(pool.map(lambda host: self._deliver(host, ways), self.hosts))
        for result in results:
            result.steps = common.steps | result.steps
        return results

    @property
    def _by_registry(self) -> bool:
        return bool(self.registry) and self.job.mode in ("auto", "registry")

    def _look(self, host: Transport) -> None:
        try:
            self._states[host] = probe(host, self.job.staging(host))
        except Error as error:
            self._failed[host] = error

    def _push(self, source: EngineSource | ArchiveSource) -> registries.Pushed | None:
        """What hosts are to pull; None where nobody lacks it, or auto has to do without."""
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
        """Bring what any host lacks into the store."""
        image, supply = self.job.image, self.job.supply
        states = [state for state in self._states.values() if not state.find(image)]
        supply.choose_codec(state.version for state in states)
        supply.ensure(layer for state in states for layer in needed(state, image, self.job.mode))

    def _lack(self, host: Transport) -> relays.Lack:
        return relays.lack(self.job, host, self._states[host])

    @contextlib.contextmanager
    def _relaying(
        self, choice: relays.Choice, lacks: dict[Transport, relays.Lack]
    ) -> Iterator[relays.Session | None]:
        """Have a host serve the others meanwhile, if any of them lacks something."""
        host = next(each for each in self.hosts if each.name == choice.name)
        own = lacks.pop(host, None)
        layers, for_itself = relays.shared(
            self.job.image, self.job.supply.blobs, lacks.values(), own
        )
        if not layers:
            yield None
        elif host in self._failed:
            yield relays.Session(choice.name, why=_said(host, self._failed[host]))
        else:
            relay = relays.Relay(self.job, host)
            try:
                yield relay.open(choice, layers, for_itself)
            finally:
                relay.close()

    def _deliver(self, host: Transport, ways: Sequence[Strategy]) -> Result:
        try:
            if host in self._failed:
                raise self._failed[host]
            # A relay was given layers since it was asked.
            is_relay = self.relay is not None and host.name == self.relay.name
            state = None if is_relay else self._states[host]
            return deliver(self.job, host, ways, state)
        except Error as error:
            return Result(host.name, error=_said(host, error), status=error.status)


def _said(host: Transport, error: Error) -> str:
    """An error without the host's name before it, which stands in the result."""
    return str(error).removeprefix(f"{host.name}: ").removeprefix(f"{host.name} ")
