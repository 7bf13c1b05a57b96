"""The container's healthcheck: exits 0 when the service has answered a real inference.

gunicorn: ``/readyz``, which is true only after every module ran once. Plain ``hub serving`` has no
such path, so one of our modules is asked to read a small picture; a service of other modules only
must answer on ``/``. If the supervisor has given up, its message is the answer.
"""

from __future__ import annotations

import base64
import json
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

from ppocr_contract.config import OUR_MODULES, TEXT_MODULE, load
from ppocr_contract.settings import Settings

from .checks import config_file
from .supervisor import gave_up

TIMEOUT = 10  # seconds; the image's HEALTHCHECK allows a little more


def _request(url: str, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    # To itself: the certificate is made out to the name others call.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT, context=context) as answer:  # noqa: S310
            data: bytes = answer.read()
            return data
    except urllib.error.HTTPError as error:
        raise ValueError(_reason(error.read()) or str(error)) from error


def _reason(body: bytes) -> str:
    """The ``reason`` of ``/readyz``, which docker inspect then shows, too."""
    try:
        return str(json.loads(body).get("reason", ""))
    except (ValueError, AttributeError):
        return ""


def _ask_module(base: str, module: str) -> None:
    picture = base64.b64encode(Path(__file__).with_name("ready.png").read_bytes()).decode()
    asked = {"texts": ["ready"]} if module == TEXT_MODULE else {"images": [picture]}
    body = json.dumps(asked).encode()
    answer = json.loads(_request(f"{base}/predict/{module}", body))
    if answer.get("status") != "000":
        raise ValueError(f"{module} answered {answer.get('status')}: {answer.get('msg')}")


def check() -> str:
    """Return one line on the state.

    Raises:
        OSError, ValueError: not ready; the message says what was asked and what came.
    """
    if reason := gave_up():
        raise ValueError(reason)
    serving = load(config_file())
    settings = Settings.from_environment()
    scheme = "https" if settings.tls_cert else "http"
    base = f"{scheme}://127.0.0.1:{serving.port}"
    if settings.server == "gunicorn":
        return _request(f"{base}/readyz").decode()
    ours = [name for name in OUR_MODULES if name in serving.modules]
    if ours:
        _ask_module(base, ours[0])
        return f"{ours[0]} answered"
    _request(f"{base}/")
    return "answering"


def main() -> int:
    try:
        print(check())
    except (OSError, ValueError) as error:
        print(f"not ready: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
