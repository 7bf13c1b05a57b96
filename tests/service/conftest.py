"""Services of the image under test, with the settings a test wants."""

import json
import sys
from pathlib import Path

import pytest

from tests.containers import PORT, Container, encoded, require_image

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]
MODULES = ("ocr_system", "ocr_det", "ocr_cls", "ocr_rec")


def pytest_addoption(parser):
    parser.addoption("--soak-requests", type=int, default=300, help="requests of the soak")
    parser.addoption("--browser", action="store_true", help="install Chromium if need be")


class Service(Container):
    """One running service; settings are PPOCR_* names without the prefix."""

    def __init__(self, folder, *options, init_args=None, memory="3g", **settings):
        info = {name: {"init_args": init_args or {}, "predict_args": {}} for name in MODULES}
        for name in ("stuck", "picky"):
            init = {"directory": f"/modules/{name}"}
            info[name] = {"init_args": init, "predict_args": {}}
        config = folder / "config.json"
        config.write_text(json.dumps({"modules_info": info, "port": 8866}))
        variables = [f"--env=PPOCR_{key.upper()}={value}" for key, value in settings.items()]
        mounts = [f"{config}:/etc/ppocr/config.json:ro", f"{HERE / 'modules'}:/modules:ro"]
        mounted = [f"--volume={mount}" for mount in mounts]
        super().__init__(f"--memory={memory}", *mounted, *PORT, *variables, *options)

    def predict(self, module, body, headers=None, timeout=90):
        """(HTTP status, parsed body)."""
        status, answer = self.post(module, body, headers, timeout)
        return status, json.loads(answer)

    def texts(self, name="mixed.jpg", headers=None):
        status, answer = self.predict("ocr_system", {"images": [encoded(name)]}, headers)
        assert status == 200, answer
        return [line["text"] for line in answer["results"][0]]

    def is_ready(self):
        try:
            return self.request("GET", "/readyz", timeout=5)[0] == 200
        except OSError:
            return False

    def ready(self):
        return self.wait(self.is_ready)

    def metric(self, name):
        """Sum of a metric's samples whose line starts with ``name``."""
        text = self.request("GET", "/metrics")[2].decode()
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def events(self):
        """Log lines that are JSON objects."""
        return [json.loads(line) for line in self.logs().splitlines() if line.startswith("{")]


@pytest.fixture(scope="session", autouse=True)
def image():
    return require_image()


@pytest.fixture
def start(tmp_path):
    """Start services of one's own; they are removed after the test."""
    started = []

    def start_one(*options, **settings):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        folder.chmod(0o755)
        started.append(Service(folder, *options, **settings))
        return started[-1]

    yield start_one
    for service in started:
        service.remove()


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """A ready service with small limits, shared by tests that do it no harm."""
    shared = Service(
        tmp_path_factory.mktemp("shared"),
        body_limit=2, images_limit=4, pixels_limit=2, header_timeout=3, body_timeout=4,
    )  # fmt: skip
    yield shared.ready()
    shared.remove()
