"""How strict unit tests are, and what several files of them need."""

import functools
import http.server
import threading

import pytest


def pytest_configure(config):
    """A warning is an error in unit tests; what is not ours to mend is let through where it is."""
    config.addinivalue_line("filterwarnings", "error")
    # The garbage collector raises these, in whatever test it happens to run.
    config.addinivalue_line("filterwarnings", "default::ResourceWarning")
    config.addinivalue_line("filterwarnings", "default::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def site(tmp_path):
    """Serve a folder; give it and its address."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
