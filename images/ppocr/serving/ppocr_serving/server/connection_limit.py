"""The limit of connections, and which one is closed when another client connects beyond it.

Nobody keeps others out by holding connections. Idle ones go first, the oldest of the address that
has most; then those that dawdle over sending a body or taking an answer. An address that holds more
than half of all gives up others too when a second address asks. Requests in work never go. Who has
just come is let in beyond the bound, since only its head tells what it wants.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter, deque
from typing import Protocol

IDLE, RECEIVING, WORKING, ANSWERING, LEAVING = range(5)
_AT_REST = (IDLE, LEAVING)
#: Bytes a second below which a body or an answer does not move, once it had some seconds: a client
#: may think before it sends, but an answer that waits has filled the client's side.
_DAWDLE = 8000
_GRACE = {RECEIVING: 2.0, ANSWERING: 0.5}
#: Seconds in which the first head may come: who has just come is not idle yet.
_FRESH = 1.0
#: Connections accepted beyond the limit for that time, and to refuse them with a response.
SPARE = 400


class Member(Protocol):
    """A connection: its state, since when, whose it is, and the bytes it moved since."""

    state: int
    since: float
    group: str

    @property
    def moved(self) -> int: ...

    def evict(self) -> None:
        """Close it now."""


def group_of(address: str) -> str:
    """Whose connection it is: an address, and of IPv6 the network a single host is given."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


class ConnectionLimit:
    """All open connections.

    Args:
        bound: how many may be served at once, and may stay.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._members: dict[Member, None] = {}
        self._sizes: Counter[str] = Counter()
        #: Who goes first: all at rest of one address, and since when, the longest first.
        self._leavers: deque[tuple[float, Member]] = deque()

    def __len__(self) -> int:
        return len(self._members)

    def admit(self, member: Member) -> bool:
        """Accept a connection, closing idle ones if needed; False if none can be closed."""
        while len(self._members) >= self._bound and self._evict(self._idle(_FRESH)):
            pass
        full = len(self._members) >= self._bound + SPARE
        if full and not self._evict(self._idle(0) or self._dawdler(member)):
            return False
        self._members[member] = None
        self._sizes[member.group] += 1
        return True

    def leave(self, member: Member) -> None:
        """A connection has ended."""
        if member in self._members:
            del self._members[member]
            self._sizes[member.group] -= 1
            if not self._sizes[member.group]:
                del self._sizes[member.group]

    def serves(self, member: Member) -> bool:
        """Whether a connection that now sends a request is within the limit."""
        others = sum(one.state not in _AT_REST for one in self._members if one is not member)
        return others < self._bound or self._evict(self._dawdler(member))

    @property
    def answering(self) -> bool:
        """Whether a client is still taking its answer."""
        return any(one.state == ANSWERING for one in self._members)

    def _evict(self, victim: Member | None) -> bool:
        if victim is None:
            return False
        self.leave(victim)
        victim.evict()
        return True

    def _idle(self, seconds: float) -> Member | None:
        """The connections to close first, if idle for so long."""
        if not self._leavers or self._sizes[self._leavers[0][1].group] < max(self._sizes.values()):
            self._look_for_idle()
        before = time.monotonic() - seconds
        while self._leavers:
            since, one = self._leavers[0]
            if one in self._members and one.state in _AT_REST and one.since == since:
                return one if since <= before else None
            self._leavers.popleft()
        return None

    def _look_for_idle(self) -> None:
        """Find all of the address that has most: where thousands come at once, a look at everybody
        for each would keep the front from its work."""
        found = [one for one in self._members if one.state in _AT_REST]
        most = max((one.group for one in found), key=lambda group: self._sizes[group], default="")
        of_most = [(one.since, one) for one in found if one.group == most]
        self._leavers = deque(sorted(of_most, key=lambda entry: entry[0]))

    def _dawdler(self, newcomer: Member) -> Member | None:
        now = time.monotonic()
        group, size = self._sizes.most_common(1)[0]
        hog = group if group != newcomer.group and size > self._bound / 2 else None
        found = []
        for one in self._members:
            age = now - one.since
            if one is not newcomer and one.state in _GRACE and age > _GRACE[one.state]:
                pace = one.moved / age
                if pace < _DAWDLE or one.group == hog:
                    found.append((pace, one))
        return min(found, key=lambda entry: entry[0])[1] if found else None
