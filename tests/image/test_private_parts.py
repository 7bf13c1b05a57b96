"""What the serving package uses of other packages though they do not document it.

Each function below runs in the image, with the locked versions. Its docstring says what is used and
why; the test prints it where a new version no longer has it. Of Flask and werkzeug nothing private
is used.
"""

import asyncio
import inspect
import logging
import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.containers import Container, docker

PRELUDE = """
import asyncio, inspect, logging, os, socket, sys
from pathlib import Path
from types import SimpleNamespace
"""


def tornado_finds_the_end_of_a_read():
    """IOStream._find_read_pos and its buffer: a head Tornado would close on is answered instead."""
    from tornado.iostream import IOStream

    async def look():
        stream = IOStream(socket.socketpair()[0])
        assert list(inspect.signature(stream._find_read_pos).parameters) == []
        assert isinstance(stream._read_buffer, bytearray) and stream._read_buffer_size == 0
        assert stream._read_regex is None and stream._read_max_bytes is None

    asyncio.run(look())


def tornado_reads_and_ends_a_request():
    """HTTP1Connection's steps: deadlines, and an answer in our shape for what is no HTTP."""
    from tornado.http1connection import HTTP1Connection, is_transfer_encoding_chunked
    from tornado.httputil import HTTPHeaders

    for method, taken in {
        HTTP1Connection._parse_headers: ["self", "data"],
        HTTP1Connection._read_body: ["self", "code", "headers", "delegate"],
        HTTP1Connection._finish_request: ["self", "future"],
    }.items():
        assert list(inspect.signature(method).parameters) == taken
    assert is_transfer_encoding_chunked(HTTPHeaders({"Transfer-Encoding": "chunked"}))


def gunicorn_gives_up_at_status_3():
    """Arbiter.WORKER_BOOT_ERROR: a worker without its card ends gunicorn instead of looping."""
    from gunicorn.arbiter import Arbiter

    assert Arbiter.WORKER_BOOT_ERROR == 3


def gunicorn_workers_have_their_sockets():
    """Worker.sockets: pre_fork leaves each worker the socket of its slot only."""
    from gunicorn.config import Config
    from gunicorn.workers.base import Worker

    assert Worker(1, 1, ["a socket"], None, 30, Config(), None).sockets == ["a socket"]


def gunicorn_shows_an_app_its_socket():
    """environ["gunicorn.socket"]: a request the front has taken back is left alone."""
    from gunicorn.config import Config
    from gunicorn.http.wsgi import default_environ

    request = SimpleNamespace(body=None, method="GET", query="", uri="/", version=(1, 1))
    assert default_environ(request, "the socket", Config())["gunicorn.socket"] == "the socket"


def gunicorn_ends_its_oldest_worker():
    """SIGTTOU after SIGTTIN: a worker is renewed by starting another and ending the oldest."""
    from gunicorn.app.base import BaseApplication
    from gunicorn.arbiter import Arbiter

    class App(BaseApplication):
        def load_config(self):
            pass

    arbiter, ended = Arbiter(App()), []
    arbiter.kill_worker = lambda pid, number: ended.append(pid)
    arbiter.WORKERS = {7: SimpleNamespace(age=2), 8: SimpleNamespace(age=1)}
    arbiter.num_workers = 1
    arbiter.manage_workers()
    assert ended == [8]


def gunicorn_tells_a_worker_of_its_end_while_it_ends():
    """worker_exit runs while SystemExit is raised: a replaced worker does not count as lost."""
    from gunicorn.app.base import BaseApplication
    from gunicorn.arbiter import Arbiter

    class App(BaseApplication):
        def load_config(self):
            self.cfg.set("worker_exit", say)

    def say(server, worker):
        os.write(pipe[1], repr(sys.exc_info()[1]).encode())

    pipe, worker = os.pipe(), SimpleNamespace(tmp=socket.socket(), init_process=lambda: None)
    arbiter = Arbiter(App())
    arbiter.pid = os.getpid()
    arbiter.worker_class = lambda *arguments: worker
    os.waitpid(arbiter.spawn_worker(), 0)
    assert os.read(pipe[0], 100) == b"SystemExit(0)"


def paddlehub_makes_its_app():
    """ServingCommand.preinstall_modules and create_app: its app, under gunicorn."""
    from ppocr_serving.server.without_paddle import stub_paddle

    stub_paddle()
    from paddlehub.commands.serving import ServingCommand
    from paddlehub.serving import app_compat

    assert list(inspect.signature(ServingCommand().preinstall_modules).parameters) == []
    assert {"init_flag", "configs"} <= set(inspect.signature(app_compat.create_app).parameters)


def paddlehub_answers_for_a_module():
    """predict_v2 and v2_module_info: requests of deploy/pdserving are answered by a module, too."""
    from ppocr_serving.server.without_paddle import stub_paddle

    stub_paddle()
    from paddlehub.serving import app_compat

    assert list(inspect.signature(app_compat.predict_v2).parameters) == ["module_info", "input"]
    assert callable(app_compat.v2_module_info.get_module_info)


def paddlehub_asks_for_its_log():
    """utils.log: its log goes through ours instead of into a file that grows."""
    from ppocr_serving.server.without_paddle import stub_paddle

    stub_paddle()
    from paddlehub.serving import app_compat
    from paddlehub.utils import log

    assert isinstance(log.logger.logger, logging.Logger)
    assert app_compat.log is log and callable(log.get_file_logger)


def paddlehub_reads_its_settings():
    """HUB_HOME/conf/config.yaml: notices to its server go nowhere."""
    from ppocr_serving.server.without_paddle import stub_paddle

    stub_paddle()
    import paddlehub.config

    assert paddlehub.config.server == "http://127.0.0.1:9"


def paddlehub_wraps_methods_of_modules():
    """RunModule.__getattribute__: ours put Python's own back, since it switches Paddle's mode."""
    from ppocr_serving.server.without_paddle import stub_paddle

    stub_paddle()
    from paddlehub.module.module import RunModule

    assert "__getattribute__" in vars(RunModule)


def paddlehub_installs_and_runs_its_command():
    """LocalModuleManager.install and commands.utils.execute: hub install, hub serving start."""
    from ppocr_serving.server.without_paddle import stub_paddle

    stub_paddle()
    from paddlehub.commands.utils import execute
    from paddlehub.module.manager import LocalModuleManager

    assert "directory" in inspect.signature(LocalModuleManager.install).parameters
    assert callable(execute)


def openvino_keeps_marked_layers_exact():
    """DisablePrecisionConversion in a model's file: the first layers of detection stay in f32."""
    import openvino as ov

    (kept,) = Path("/opt/ppocr/models/det").glob("bf16-*/model.xml")
    again, core = Path("again.xml").absolute(), ov.Core()
    model = core.read_model(kept)
    ov.serialize(model, again)
    marks = [path.read_text().count("DisablePrecisionConversion") for path in (kept, again)]
    assert marks[0] == marks[1] > 0
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        running = core.compile_model(model, "CPU").get_runtime_model().get_ordered_ops()
        infos = [operation.get_rt_info() for operation in running]
        precisions = {
            info["runtimePrecision"].astype(str)
            for info in infos
            if info["layerType"].astype(str) == "Convolution"
        }
        assert precisions == {"f32", "bf16"}


def openvino_bounds_its_kernels():
    """CPU_RUNTIME_CACHE_CAPACITY: new sizes of pictures do not grow a worker without end."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model("/opt/ppocr/models/cls/inference.pdmodel")
    core.compile_model(model, "CPU", {"CPU_RUNTIME_CACHE_CAPACITY": "100"})  # others raise


CHECKS = [
    function
    for name, function in list(globals().items())
    if name.partition("_")[0] in ("tornado", "gunicorn", "paddlehub", "openvino")
]


@pytest.fixture(scope="module")
def container(image):
    started = Container("--network=none", command=("sleep", "600"))
    yield started
    started.remove()


def execute(container, program):
    command = ("timeout", "100", "python", "-c", program)
    return docker("exec", "--workdir=/tmp", container.name, *command, check=False)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_is_still_there(container, check):
    program = f"{PRELUDE}\n{inspect.getsource(check)}\n{check.__name__}()"
    done = execute(container, program)
    said = done.stderr.strip().splitlines() or [""]
    assert done.returncode == 0, f"{check.__doc__} It is not as it was: {said[-1]}"


def test_an_option_that_gunicorn_does_not_know_ends_it_by_name(container):
    program = """
from gunicorn import config
from ppocr_contract.config import load
from ppocr_contract.settings import Settings
from ppocr_serving.checks import config_file
config.KNOWN_SETTINGS[:] = [one for one in config.KNOWN_SETTINGS if one.name != "worker_exit"]
from ppocr_serving.server.gunicorn import serve
serve(load(config_file()), Settings.from_environment())
"""
    done = execute(container, program)
    assert done.returncode == 1 and "worker_exit" in done.stderr, done.stderr
