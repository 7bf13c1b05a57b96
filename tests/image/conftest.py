"""Containers of the image under test, as a person would run them with plain docker."""

import json
import os
import subprocess
import time
import urllib.request
import uuid
from pathlib import Path

import pytest

IMAGE = os.environ.get("PPOCR_IMAGE", "ppocr:1.0.0")
SAMPLES = Path(__file__).parents[2] / "smoke_tests/samples"
_LABEL = "org.ppocr.test=image"
#: The protections of the role's container.
_LOCKED_DOWN = (
    "--init",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp",
    "--tmpfs=/run/ppocr:mode=0755,uid=10001,gid=10001",
)


def docker(*arguments, check=True):
    """Run the docker client; return the finished process."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=check)


class Container:
    """One running container."""

    def __init__(self, *options, command=()):
        self.name = f"ppocr-test-{uuid.uuid4().hex[:8]}"
        run = ("run", "--detach", "--name", self.name, "--label", _LABEL, *_LOCKED_DOWN)
        docker(*run, *options, IMAGE, *command)

    @property
    def state(self):
        return json.loads(docker("inspect", "--format={{json .State}}", self.name).stdout)

    def logs(self):
        finished = docker("logs", self.name)
        return finished.stdout + finished.stderr

    def wait(self, condition, seconds=90):
        """Wait until ``condition(state)`` holds."""
        deadline = time.monotonic() + seconds
        while not condition(self.state):
            assert time.monotonic() < deadline, f"{self.state}\n{self.logs()}"
            time.sleep(0.5)
        return self

    def healthy(self):
        return self.wait(lambda state: state["Health"]["Status"] == "healthy")

    def ended(self):
        self.wait(lambda state: not state["Running"], seconds=60)
        return self.state["ExitCode"]

    def execute(self, *command):
        return docker("exec", self.name, *command)

    @property
    def url(self):
        return f"http://{docker('port', self.name, '8866/tcp').stdout.split()[0]}"

    def post(self, module, body, content_type="application/json"):
        """POST raw bytes or an object; return (HTTP status, body)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/predict/{module}", data, {"Content-Type": content_type}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def remove(self):
        docker("rm", "--force", "--volumes", self.name, check=False)


@pytest.fixture(scope="session", autouse=True)
def image():
    """The image must have been built."""
    if docker("image", "inspect", IMAGE, check=False).returncode:
        pytest.exit(f"no image {IMAGE}: run scripts/deploy first, or name one in PPOCR_IMAGE", 2)
    return IMAGE


@pytest.fixture
def run():
    """Start containers; they are removed after the test."""
    started = []

    def start(*options, command=()):
        started.append(Container(*options, command=command))
        return started[-1]

    yield start
    for container in started:
        container.remove()


@pytest.fixture(scope="session")
def request_body():
    return json.loads((SAMPLES / "image.json").read_text())


PORT = ("--publish", "127.0.0.1::8866")


@pytest.fixture(scope="session")
def _servers():
    running = {}
    yield running
    for container in running.values():
        container.remove()


def _shared(kind, servers):
    if kind not in servers:
        servers[kind] = Container(*PORT, "--env", f"PPOCR_SERVER={kind}")
    return servers[kind].healthy()


@pytest.fixture(params=["gunicorn", "hub"])
def server(request, _servers):
    """A healthy service of each kind, shared by the tests that do it no harm."""
    return _shared(request.param, _servers)


@pytest.fixture
def gunicorn(_servers):
    """The shared service under gunicorn."""
    return _shared("gunicorn", _servers)


@pytest.fixture
def write_config(tmp_path):
    """Write /etc/ppocr of a container; return the option that mounts it."""

    def write(config=None, params=None):
        tmp_path.chmod(0o755)
        modules = {"ocr_system": {"init_args": {"version": "1.0.0"}, "predict_args": {}}}
        text = (
            config if isinstance(config, str) else json.dumps(config or {"modules_info": modules})
        )
        (tmp_path / "config.json").write_text(text)
        if params is not None:
            (tmp_path / "params.json").write_text(json.dumps(params))
        return ("--volume", f"{tmp_path}:/etc/ppocr:ro")

    return write
