"""Containers of the image under test, run with plain docker as a person would."""

import base64
import fcntl
import functools
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pytest

from ppocr_control import command_line, version
from ppocr_control.images import models
from tests import slowed

IMAGE = os.environ.get("PPOCR_IMAGE", f"ppocr:{version.current()}")
ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "smoke_tests/samples"
PORT = ("--publish", "127.0.0.1::8866")
#: The protections of the role's container.
LOCKED_DOWN = (
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


def encoded(name):
    """Base64 of a sample picture."""
    return base64.b64encode((SAMPLES / name).read_bytes()).decode()


def lay_out(given, folder):
    """Lay models out in a new folder as the build does; return the option that mounts them.

    ``given`` is ``ppocr_models``.
    """
    models.lay_out(models.resolve(given), folder, command_line.cache_folder() / "models")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    return f"--volume={folder}:/opt/ppocr/models:ro"


def require_image():
    """End the run where the image was not built; return its name."""
    if docker("image", "inspect", IMAGE, check=False).returncode:
        pytest.exit(f"no image {IMAGE}: run scripts/deploy first, or name one in PPOCR_IMAGE", 2)
    return IMAGE


@functools.cache
def paddle_image():
    """Build the variant with Paddle, and the guide's models, unless it is there; return its name.

    What needs it runs in it: plain hub serving, the engine paddle, what is compared with stock. All
    but Paddle and our code comes from the layers of the image under test.
    """
    name = os.environ.get("PPOCR_PADDLE_IMAGE")
    if name:
        return name
    name = f"ppocr-test:{version.current()}-paddle"
    bundle = os.environ.get("PPOCR_TEST_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    # Steps of scripts/test run beside each other.
    with (Path(tempfile.gettempdir()) / "ppocr-test-paddle.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        built = subprocess.run(
            [sys.executable, ROOT / "scripts/build_image.py", "--paddle", f"--tag={name}",
             '--settings={"models": "PP-OCRv4-mobile"}', f"--ca-bundle={bundle}", "--quiet"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return name


class Container:
    """One running container.

    Attributes:
        name: of the container.
    """

    def __init__(self, *options, command=(), image=IMAGE, protections=LOCKED_DOWN):
        self.name = f"ppocr-test-{uuid.uuid4().hex[:8]}"
        run = ("run", "--detach", "--name", self.name, "--label=org.ppocr.test=container")
        docker(*run, *slowed.container_options(), *protections, *options, image, *command)
        self._address = None

    @property
    def address(self):
        """(host, port) of the published port."""
        if self._address is None:
            published = docker("port", self.name, "8866/tcp").stdout.split()[0]
            host, _, port = published.rpartition(":")
            self._address = host, int(port)
        return self._address

    @property
    def url(self):
        host, port = self.address
        return f"http://{host}:{port}"

    @property
    def state(self):
        return json.loads(docker("inspect", "--format={{json .State}}", self.name).stdout)

    def logs(self):
        finished = docker("logs", self.name)
        return finished.stdout + finished.stderr

    def wait(self, condition, seconds=300):
        """Wait until ``condition()`` holds; ``seconds`` only ends a wait for what never comes."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{self.state}\n{self.logs()[-4000:]}"
            time.sleep(0.2)
        return self

    def healthy(self):
        return self.wait(lambda: self.state["Health"]["Status"] == "healthy")

    def ended(self):
        self.wait(lambda: not self.state["Running"])
        return self.state["ExitCode"]

    def execute(self, *command):
        return docker("exec", self.name, *command)

    def connection(self, timeout=300):
        host, port = self.address
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=300):
        """(HTTP status, headers, body) of one request on a connection of its own."""
        connection = self.connection(timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def post(self, module, body, headers=None, timeout=300):
        """POST raw bytes or an object to a module; return (HTTP status, body)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        status, _, answer = self.request("POST", f"/predict/{module}", data, sent, timeout)
        return status, answer

    def remove(self):
        docker("rm", "--force", "--volumes", self.name, check=False)
