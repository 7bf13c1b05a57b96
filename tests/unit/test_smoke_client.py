"""What the smoke test says where it gets no HTTP answer over TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from smoke_tests.client import Client, Unreachable
from smoke_tests.options import Settings
from tests import certificates

pytestmark = pytest.mark.slow


def client(url: str) -> Client:
    return Client(Settings(url, "ocr_system", (), None, 30.0, Path(), None, "ocr1/ppocr"))


@pytest.fixture
def made(tmp_path: Path) -> certificates.Certificate:
    return certificates.issue(tmp_path, "127.0.0.1")


@pytest.fixture
def url(made: certificates.Certificate) -> Iterator[str]:
    """A server that ends each connection once TLS is agreed on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def end_one() -> None:
            connection, _ = listener.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:  # the client ended it
                connection.close()

        thread = threading.Thread(target=end_one)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("trusted", "said"),
    [(True, "ended the connection before it answered"), (False, "certificate is not accepted")],
)
def test_an_ended_connection_is_no_refused_certificate(
    made, url: str, trusted: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.authority))
    else:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with pytest.raises(Unreachable, match=said):
        client(url).predict("ocr_system", [bytes(20_000_000)])
