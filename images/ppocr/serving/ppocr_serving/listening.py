"""The listening sockets, held by the supervisor: clients that connect while the front restarts wait
for the new one instead of being refused."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import socket
from collections.abc import Sequence

from ppocr_contract.settings import SettingsError

log = logging.getLogger(__name__)

_VARIABLE = "PPOCR_LISTEN_FDS"
_BACKLOG = 128  # until the front sets its own


def _listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port))
        one.listen(_BACKLOG)
    except OSError:
        one.close()
        raise
    return one


def open_sockets(port: int) -> list[socket.socket]:
    """Listen on every address of this container.

    Raises:
        OSError: the port is taken.
    """
    sockets = [_listen(socket.AF_INET, "0.0.0.0", port)]  # noqa: S104 - published by the engine
    with contextlib.suppress(OSError):  # no IPv6 here
        sockets.append(_listen(socket.AF_INET6, "::", port))
    return sockets


def passed_on(sockets: Sequence[socket.socket]) -> dict[str, str]:
    """The variable that tells the front which of its descriptors they are."""
    return {_VARIABLE: ",".join(str(one.fileno()) for one in sockets)}


def for_front(port: int, backlog: int) -> list[socket.socket]:
    """The sockets the supervisor passed on, or else new ones, with the front's backlog.

    Raises:
        SettingsError: the port is taken, or not for this user.
    """
    numbers = os.environ.pop(_VARIABLE, "")
    inherited = [socket.socket(fileno=int(number)) for number in numbers.split(",") if number]
    try:
        sockets = inherited or open_sockets(port)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on port {port} ({error.strerror}): set another hubserving_port, or end "
            "the program that has this one; with hubserving_network: host a port below 1024 needs "
            "root, which the container is not"
        ) from error
    for one in sockets:
        one.set_inheritable(False)
        one.setblocking(False)
        one.listen(backlog)
    return sockets


def allow_files(count: int) -> None:
    """Let this process have so many files open: engines give containers as few as 1,024.

    Where the hard limit is lower, it has as many as that allows, and the log says so.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if most < count:
        log.warning(
            "this container may have %d files open, and hubserving_connections takes up to %d: "
            "lower it, or raise the engine's default-ulimits (nofile)",
            hard,
            count,
        )
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
