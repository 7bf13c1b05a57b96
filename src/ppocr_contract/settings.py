"""Settings of the server processes; the role passes them as environment variables."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: The page's and the workers' meeting places; a tmpfs in the container.
RUN_DIR = Path(os.environ.get("PPOCR_RUN_DIR", "/run/ppocr"))

_MEGA = 1_000_000
#: Zero means "no such limit" for these.
_MAY_BE_ZERO = {"max_requests", "memory_ceiling", "pdf_pages_limit"}
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}")
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


class SettingsError(ValueError):
    """A PPOCR_* variable has a value it cannot have."""


def bare_name(host: str) -> str:
    """A host's name or address as it is compared: case, brackets and a last dot do not count."""
    return host.lower().strip("[]").removesuffix(".")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the service is run. Each field is read from ``PPOCR_<FIELD>``.

    Attributes:
        workers: processes, each with its own models.
        workers_per_gpu: on GPUs, processes on each card; ``workers`` counts on a CPU only.
        threads: requests a worker takes in at once.
        queue: requests that wait while all threads are busy; the next one is refused (503).
        timeout: seconds a worker has for one request; then it is killed and replaced.
        graceful_timeout: seconds requests in flight have to finish after SIGTERM.
        max_requests: requests after which a worker is replaced by a fresh one; 0 for never.
        memory_ceiling: MB of resident memory beyond which a worker is replaced; 0 for never.
        body_limit: MB of a request's body, as sent and unpacked.
        images_limit: images of one request.
        pixels_limit: millions of pixels of one image, looked at before decoding it.
        pdf_pages_limit: pages of PDFs of one request; 0 to take no PDFs.
        pdf_dpi: pixels of an inch pages are drawn at, where a client does not say.
        pdf_dpi_limit: the most a client may ask for.
        pdf_timeout: seconds of a CPU that drawing one PDF may take.
        buffer_limit: MB of request bodies held at once, over all clients.
        header_timeout: seconds a client has to send a request's head; idle connections end then.
        body_timeout: seconds a client has to send a request's body, and to take its answer.
        connections: clients connected at once.
        stock_status: answer errors with HTTP 200 as stock PaddleHub does.
        token_file: bearer tokens, one a line; empty for none.
        tls_cert, tls_key: PEM files; empty for plain HTTP.
        allow_networks: networks clients may come from, separated by commas; empty for all.
        hosts: names and addresses clients may ask by, separated by commas; empty for any.
    """

    workers: int = 1
    workers_per_gpu: int = 1
    threads: int = 4
    queue: int = 64
    timeout: int = 60
    graceful_timeout: int = 30
    max_requests: int = 5000
    memory_ceiling: int = 1500
    body_limit: int = 64
    images_limit: int = 32
    pixels_limit: int = 50
    pdf_pages_limit: int = 20
    pdf_dpi: int = 200
    pdf_dpi_limit: int = 300
    pdf_timeout: int = 20
    buffer_limit: int = 512
    header_timeout: int = 30
    body_timeout: int = 60
    connections: int = 512
    stock_status: bool = False
    token_file: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    allow_networks: str = ""
    hosts: str = ""

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
        """Names clients may ask by.

        Raises:
            ValueError: one is no name and no address.
        """
        names = [name for name in map(str.strip, self.hosts.split(",")) if name]
        for name in names:
            if ":" in name:
                ipaddress.IPv6Address(bare_name(name))
            elif not _HOST.fullmatch(name):
                raise ValueError(f"{name!r} is no name and no address, such as ocr.example.com")
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
        least = 0 if field.name in _MAY_BE_ZERO else 1
        if not text.isdigit() or int(text) < least:
            raise SettingsError(f"{name}={text}: not a whole number of at least {least}")
        return int(text)
    return text
