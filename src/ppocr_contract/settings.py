"""Settings of the server processes, which the role passes as environment variables.

Not as a file: an image that a host is rolled back to may be one that knows the variables alone, and
would serve without its tokens.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .fields import CHOICES, LEAST, Fields

#: The page's and the workers' meeting places; a tmpfs in the container.
RUN_DIR = Path(os.environ.get("PPOCR_RUN_DIR", "/run/ppocr"))

_MEGA = 1_000_000
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}")
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


class SettingsError(ValueError):
    """A PPOCR_* variable has a value it cannot have."""


def bare_name(host: str) -> str:
    """A host's name or address as it is compared: case, brackets and a last dot do not count."""
    return host.lower().strip("[]").removesuffix(".")


def _is_ipv6(name: str) -> bool:
    try:
        ipaddress.IPv6Address(name)
    except ValueError:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Settings(Fields):
    """How the service is run. Each field is read from ``PPOCR_<FIELD>``.

    Attributes:
        token_file: bearer tokens, one a line; empty for none.
        tls_cert, tls_key: PEM files; empty for plain HTTP.
    """

    token_file: str = ""
    tls_cert: str = ""
    tls_key: str = ""

    @property
    def body_bytes(self) -> int:
        return self.body_limit * _MEGA

    @property
    def buffer_bytes(self) -> int:
        return self.buffer_limit * _MEGA

    @property
    def pixels(self) -> int:
        return self.pixels_limit * _MEGA

    @property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        names = (name.strip() for name in self.allow_networks.split(","))
        return tuple(ipaddress.ip_network(name) for name in names if name)

    @property
    def host_names(self) -> frozenset[str]:
        """Host names that clients may use.

        Raises:
            ValueError: one is no name and no address.
        """
        names = [name for name in map(str.strip, self.hosts.split(",")) if name]
        for name in names:
            if not (_is_ipv6(bare_name(name)) or _HOST.fullmatch(name)):
                raise ValueError(
                    f"{name!r} is no name and no address: write it without scheme and port, such "
                    "as ocr.example.com"
                )
        return frozenset(map(bare_name, names))

    def _check_networks(self) -> None:
        for name in filter(None, (part.strip() for part in self.allow_networks.split(","))):
            try:
                ipaddress.ip_network(name)
            except ValueError as error:
                remedy = "write it as 10.0.0.0/8, or 10.0.0.7 for a single address"
                raise SettingsError(
                    f"PPOCR_ALLOW_NETWORKS: {name!r} is no network ({error}): {remedy}"
                ) from error

    def check_access(self) -> None:
        """Refuse access settings that nothing would enforce.

        Raises:
            SettingsError: the server is plain hub serving, which knows none of those set.
        """
        limits = {
            "hubserving_tokens": self.token_file,
            "hubserving_tls_cert": self.tls_cert,
            "hubserving_allow_networks": self.allow_networks,
            "hubserving_hosts": self.hosts,
        }
        unknown = [name for name, value in limits.items() if value]
        if self.server == "hub" and unknown:
            raise SettingsError(
                f"PPOCR_SERVER=hub: plain hub serving knows no {', '.join(unknown)}: run it behind "
                "the edge (edge_enabled: true, and hubserving_network other than host), or set "
                "hubserving_server: gunicorn"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: a value is no number, too small, or names what cannot be.
        """
        values = {}
        for field in dataclasses.fields(cls):
            name = f"PPOCR_{field.name.upper()}"
            text = environment.get(name, "").strip()
            if text:
                values[field.name] = _parsed(name, field, text)
        settings = cls(**values)
        settings._check_networks()
        try:
            _ = settings.host_names
        except ValueError as error:
            raise SettingsError(f"PPOCR_HOSTS: {error} (hubserving_hosts)") from error
        if bool(settings.tls_cert) != bool(settings.tls_key):
            raise SettingsError("PPOCR_TLS_CERT and PPOCR_TLS_KEY: set both, or neither")
        if settings.pdf_dpi > settings.pdf_dpi_limit:
            raise SettingsError(
                f"PPOCR_PDF_DPI={settings.pdf_dpi}: more than PPOCR_PDF_DPI_LIMIT allows "
                f"({settings.pdf_dpi_limit})"
            )
        return settings


def _parsed(name: str, field: dataclasses.Field[Any], text: str) -> Any:
    if isinstance(field.default, bool):
        if text.lower() not in _TRUE | _FALSE:
            raise SettingsError(f"{name}={text}: not true or false")
        return text.lower() in _TRUE
    if isinstance(field.default, int):
        least = LEAST[field.name]
        if not text.isdigit() or int(text) < least:
            raise SettingsError(f"{name}={text}: not a whole number of at least {least}")
        return int(text)
    if text not in CHOICES.get(field.name, (text,)):
        choices = " or ".join(CHOICES[field.name])
        raise SettingsError(f"{name}={text}: use {choices} (hubserving_{field.name})")
    return text
