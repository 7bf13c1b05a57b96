"""A small hubserving client: one POST at a time, with errors reported in one sentence."""

from __future__ import annotations

import base64
import json
import os
import time
from dataclasses import dataclass
from typing import Any

import requests

from .options import Settings

#: How a connection ends that was made, with TLS and without.
_ENDED = ("SSLEOFError", "RemoteDisconnected", "ConnectionResetError", "BrokenPipeError")


class Unreachable(Exception):
    """The service gave no HTTP answer; the text says where and what to check."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; ``body`` is None when it is not JSON. ``elapsed_ms`` is wall time."""

    http_status: int
    body: Any
    text: str
    elapsed_ms: float


class Client:
    """Sends pictures to the modules of one service.

    Proxies of the environment are not used: the services under test are on one's own network.
    A private CA is taken from REQUESTS_CA_BUNDLE.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        self._session.headers.update(settings.header)
        if settings.token:
            self._session.headers["Authorization"] = f"Bearer {settings.token}"

    def reach(self) -> None:
        """Check that something answers HTTP at the base URL, whatever it answers.

        Raises Unreachable.
        """
        self._request("GET", f"{self._settings.base_url}/")

    def predict(self, module: str, pictures: list[bytes]) -> Answer:
        """POST pictures (file bytes) to a module.

        Raises Unreachable when no HTTP answer comes within the timeout.
        """
        images = [base64.b64encode(data).decode("ascii") for data in pictures]
        return self._post(module, {"images": images})

    def correct(self, texts: list[str], gain: float) -> Answer:
        """POST texts to the module text_correction; raises as :meth:`predict` does.

        Args:
            texts: to be corrected.
            gain: how sure a finding has to be, whatever the service's parameters say.
        """
        options = {"text_correction_gain": gain}
        return self._post("text_correction", {"texts": texts, "options": options})

    def _post(self, module: str, body: dict[str, Any]) -> Answer:
        return self._request(
            "POST",
            f"{self._settings.base_url}/predict/{module}",
            data=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )

    def _request(self, method: str, url: str, **kwargs: Any) -> Answer:
        started = time.perf_counter()
        try:
            response = self._session.request(method, url, timeout=self._settings.timeout, **kwargs)
        except requests.RequestException as error:
            raise Unreachable(self._explain(url, error)) from None
        elapsed_ms = (time.perf_counter() - started) * 1000
        try:
            body = response.json()
        except ValueError:
            body = None
        return Answer(response.status_code, body, response.text[:500], elapsed_ms)

    def _explain(self, url: str, error: requests.RequestException) -> str:
        if "CERTIFICATE_VERIFY_FAILED" in repr(error):
            return (
                f"{url}: the TLS certificate is not accepted; "
                "give the private CA's file in REQUESTS_CA_BUNDLE."
            )
        if isinstance(error, requests.exceptions.ReadTimeout):
            return (
                f"{url} did not answer within {self._settings.timeout:g} s; check the container's "
                "log and load, or raise --timeout."
            )
        if isinstance(error, requests.exceptions.ConnectTimeout):
            return (
                f"{url} accepts no connection within {self._settings.timeout:g} s; check the "
                "address, the route and the firewall between here and the service."
            )
        if any(word in repr(error) for word in _ENDED):
            return (
                f"{url} ended the connection before it answered; look for the cause in the logs "
                "of the container and of its edge (docker logs)."
            )
        if "NameResolutionError" in repr(error):
            return f"{url}: the host name is not known here; check its spelling and the DNS."
        return (
            f"{url} refuses or drops the connection; check that the container runs and is "
            "healthy (docker ps), that the port is the published one, and the firewall."
        )
