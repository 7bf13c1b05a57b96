"""Who is connected, and who has to leave when the bound is met and somebody else comes.

Nobody keeps others out by holding connections. Idle ones go first, the oldest of the address that
has most; then those that dawdle over sending a body or taking an answer. An address that holds more
than half of all gives up others too when a second address asks. Requests in work never go.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from typing import Protocol

IDLE, RECEIVING, WORKING, ANSWERING, LEAVING = range(5)
#: Bytes a second below which a body or an answer does not move, once it had ``_GRACE`` seconds.
_DAWDLE = 8000
_GRACE = 2.0
#: Connections beyond the bound that are told so, and in which health is answered.
SPARE = 32


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


class Crowd:
    """The connections there are.

    Args:
        bound: how many may be there; a few more are let in to be told so.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._members: dict[Member, None] = {}
        self._sizes: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(list(self._members))

    def admit(self, member: Member) -> bool | None:
        """Let a connection in, at another one's cost if need be.

        Returns:
            True; False if it is beyond the bound, to be answered health or that it is; None if it
            is not let in at all.
        """
        within = len(self._members) < self._bound or self._make_room(member.group)
        if not within and len(self._members) >= self._bound + SPARE:
            return None
        self._members[member] = None
        self._sizes[member.group] += 1
        return within

    def leave(self, member: Member) -> None:
        """A connection has ended."""
        if self._members.pop(member, member) is None:
            self._sizes[member.group] -= 1
            if not self._sizes[member.group]:
                del self._sizes[member.group]

    def _make_room(self, newcomer: str) -> bool:
        victim = self._idle() or self._dawdler(newcomer)
        if victim is None:
            return False
        self.leave(victim)
        victim.evict()
        return True

    def _idle(self) -> Member | None:
        idle = [one for one in self._members if one.state in (IDLE, LEAVING)]
        return max(idle, key=lambda one: (self._sizes[one.group], -one.since), default=None)

    def _dawdler(self, newcomer: str) -> Member | None:
        now = time.monotonic()
        group, size = self._sizes.most_common(1)[0]
        hog = group if group != newcomer and size > self._bound / 2 else None
        found = []
        for one in self._members:
            age = now - one.since
            if one.state in (RECEIVING, ANSWERING) and age > _GRACE:
                pace = one.moved / age
                if pace < _DAWDLE or one.group == hog:
                    found.append((pace, one))
        return min(found, key=lambda entry: entry[0])[1] if found else None
