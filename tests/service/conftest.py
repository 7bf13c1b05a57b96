"""Services of the image under test, with the settings a test wants."""

import base64
import http.client
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
SAMPLES = HERE.parents[1] / "smoke_tests/samples"
IMAGE = os.environ.get("PPOCR_IMAGE", "ppocr:1.0.0")
MODULES = ("ocr_system", "ocr_det", "ocr_cls", "ocr_rec")
_LOCKED_DOWN = (
    "--init",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp",
    "--tmpfs=/run/ppocr:mode=0755,uid=10001,gid=10001",
    "--publish=127.0.0.1::8866",
    f"--volume={HERE / 'modules'}:/modules:ro",
)


def pytest_addoption(parser):
    parser.addoption("--soak-requests", type=int, default=300, help="requests of the soak")
    parser.addoption("--browser", action="store_true", help="make the image with Chromium")


def docker(*arguments, check=True):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=check)


def encoded(name):
    return base64.b64encode((SAMPLES / name).read_bytes()).decode()


class Service:
    """One running service; settings are PPOCR_* names without the prefix."""

    def __init__(self, folder, *options, modules=MODULES, memory="3g", **settings):
        info = {name: {"init_args": {}, "predict_args": {}} for name in modules}
        info["stuck"] = {"init_args": {"directory": "/modules/stuck"}, "predict_args": {}}
        config = folder / "config.json"
        config.write_text(json.dumps({"modules_info": info, "port": 8866}))
        self.name = f"ppocr-service-{uuid.uuid4().hex[:8]}"
        variables = [f"--env=PPOCR_{key.upper()}={value}" for key, value in settings.items()]
        docker(
            "run", "--detach", "--name", self.name, "--label=org.ppocr.test=service",
            f"--memory={memory}", f"--volume={config}:/etc/ppocr/config.json:ro",
            *_LOCKED_DOWN, *variables, *options, IMAGE,
        )  # fmt: skip
        published = docker("port", self.name, "8866/tcp").stdout.split()[0]
        self.host, _, port = published.rpartition(":")
        self.port = int(port)

    def connection(self, timeout=90):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=90):
        """(HTTP status, headers, body) of one request on a connection of its own."""
        connection = self.connection(timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def predict(self, module, body, headers=None, timeout=90):
        """(HTTP status, parsed body)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        status, _, answer = self.request("POST", f"/predict/{module}", data, sent, timeout)
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

    def wait(self, condition, seconds=90):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.logs()[-4000:]
            time.sleep(0.1)
        return self

    def ready(self):
        return self.wait(self.is_ready)

    def metric(self, name):
        """Sum of a metric's samples whose line starts with ``name``."""
        text = self.request("GET", "/metrics")[2].decode()
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def logs(self):
        finished = docker("logs", self.name)
        return finished.stdout + finished.stderr

    def events(self):
        """Log lines that are JSON objects."""
        return [json.loads(line) for line in self.logs().splitlines() if line.startswith("{")]

    def remove(self):
        docker("rm", "--force", "--volumes", self.name, check=False)


@pytest.fixture(scope="session", autouse=True)
def image():
    if docker("image", "inspect", IMAGE, check=False).returncode:
        pytest.exit(f"no image {IMAGE}: run scripts/deploy first, or name one in PPOCR_IMAGE", 2)


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
