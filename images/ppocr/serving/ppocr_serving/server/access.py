"""Access control: bearer tokens from a file, networks from a list."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from pathlib import Path

from ppocr_contract.settings import Settings, SettingsError, bare_name

log = logging.getLogger(__name__)

_LOOK_AGAIN = 1.0  # seconds between looks at the token file


class Tokens:
    """Bearer tokens, one a line ("#" starts a comment); the file is read again when it changes.

    Raises:
        SettingsError: the file cannot be read, or names no token.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = 0.0
        self._seen: tuple[int, int, int] | None = None
        self._tokens: list[bytes] = []
        self._look()
        if not self._tokens:
            raise SettingsError(f"PPOCR_TOKEN_FILE: {path} cannot be read, or holds no token")

    def _look(self) -> None:
        self._looked = time.monotonic()
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen == self._seen:
                return
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            log.error("token file: %s; the tokens read before stay valid", error)
            return
        tokens = [line.strip() for line in lines]
        self._tokens = [token.encode() for token in tokens if token and not token.startswith("#")]
        self._seen = seen
        log.info("%d tokens read", len(self._tokens))

    def accept(self, authorization: str) -> bool:
        """Whether an Authorization header carries one of the tokens."""
        if time.monotonic() - self._looked > _LOOK_AGAIN:
            self._look()
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode()
        # Every token is compared, so that the time taken reveals nothing.
        fits = [hmac.compare_digest(given, known) for known in self._tokens]
        return scheme.lower() == "bearer" and any(fits)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class Access:
    """Decides on a client by its address, its Host header and its Authorization header."""

    NETWORK = "this network is not allowed (hubserving_allow_networks)"
    HOST = "this host name is not allowed (hubserving_hosts)"

    def __init__(self, settings: Settings) -> None:
        self._networks = settings.networks
        self._hosts = settings.host_names
        self._tokens = Tokens(Path(settings.token_file)) if settings.token_file else None

    def from_allowed_network(self, address: str) -> bool:
        """Whether the address is in an allowed network; this container itself always is."""
        if not self._networks:
            return True
        client = _address(address)
        if client is None:
            return False
        return client.is_loopback or any(client in network for network in self._networks)

    def by_accepted_name(self, host: str, address: str, health: bool) -> bool:
        """Whether a Host header has one of the service's names.

        A page of a stranger whose name was pointed to this address cannot make a browser ask.

        Args:
            host: the name of the header, without its port.
            address: of the client; this container itself may ask for health by any name.
            health: the request is for health.
        """
        if not self._hosts or bare_name(host) in self._hosts:
            return True
        client = _address(address)
        return health and client is not None and client.is_loopback

    def has_token(self, authorization: str) -> bool:
        return self._tokens is None or self._tokens.accept(authorization)
