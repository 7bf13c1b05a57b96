"""Containers of the image under test, as a person would run them with plain docker."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.containers import PORT, SAMPLES, Container, paddle_image, require_image


@pytest.fixture(scope="session", autouse=True)
def image():
    """The image must have been built."""
    return require_image()


@pytest.fixture
def run():
    """Start containers; they are removed after the test."""
    started = []

    def start(*options, **given):
        started.append(Container(*options, **given))
        return started[-1]

    yield start
    for container in started:
        container.remove()


@pytest.fixture(scope="session")
def request_body():
    return json.loads((SAMPLES / "image.json").read_text())


@pytest.fixture(scope="session")
def _servers():
    running = {}
    yield running
    for container in running.values():
        container.remove()


def _shared(kind, servers):
    if kind not in servers:
        image = {"image": paddle_image()} if kind == "hub" else {}
        servers[kind] = Container(*PORT, "--env", f"PPOCR_SERVER={kind}", **image)
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
def hub(_servers):
    """The shared plain hub serving, in the variant with Paddle, on OpenVINO."""
    return _shared("hub", _servers)


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


@pytest.fixture(scope="session")
def stub_driver(tmp_path_factory):
    """The option that gives a container the stub's libcuda.so.1."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler for the stub of the driver")
    library = tmp_path_factory.mktemp("driver") / "libcuda.so.1"
    source = Path(__file__).with_name("stub_libcuda.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    library.parent.chmod(0o755)
    return f"--volume={library}:/usr/lib/x86_64-linux-gnu/libcuda.so.1:ro"
