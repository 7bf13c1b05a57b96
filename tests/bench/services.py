"""The things compared: each is started fresh, asked in the same way, and measured from outside."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ppocr_contract.params import PARAMS_FILE
from ppocr_control.command_line import cache_folder
from ppocr_control.images import models
from tests.stock.stock_environment import stock_python, stock_variables

HERE = Path(__file__).resolve().parent

LOCK = HERE / "requirements.lock"
_START_LIMIT = 600  # seconds


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(url: str, page: str, timeout: float = 120) -> Any:
    """The lines of one page; raises when the answer is no success."""
    return ask_all(url, [page], timeout)[0]


def ask_all(url: str, pages: list[str], timeout: float = 120) -> Any:
    """The results of several; ocr_rec has one result for all of them."""
    body = json.dumps({"images": pages}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        parsed = json.load(answer)
    if parsed["status"] != "000":
        raise RuntimeError(parsed)
    return parsed["results"]


class Service:
    """A service that answers at ``url``.

    Attributes:
        url: where to POST.
        ready_after: seconds from its start to its first answer.
    """

    def __init__(self, url: str, pid: int, page: str) -> None:
        self.url = url
        self._pid = pid
        started = time.monotonic()
        while True:
            try:
                ask(url, page)
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if time.monotonic() - started > _START_LIMIT or not _alive(pid):
                    raise
                time.sleep(0.1)
        self.ready_after = time.monotonic() - started

    def memory(self) -> int:
        """Resident bytes of the process and all below it, memory they share counted once."""
        return sum(_proportional(pid) for pid in _family(self._pid))


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def _family(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _family(int(child))
    return found


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def laid_out(given: dict[str, str] | str, stack: contextlib.ExitStack) -> Path:
    """A folder with the models that ``ppocr_models`` names so."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ppocr-bench-")))
    folder.chmod(0o755)
    models.lay_out(models.resolve(given), folder / "models", cache_folder() / "models")
    return folder / "models"


@contextlib.contextmanager
def stock(page: str, mkldnn: bool) -> Iterator[Service]:
    """``hub serving start -m ocr_system``, or ``-c`` with enable_mkldnn."""
    python = stock_python(LOCK)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ppocr-bench-") as work:
        home = Path(work) / "hub"
        variables = stock_variables() | {"HUB_HOME": str(home), "HOME": work}
        module = Path(work) / "ocr_system"
        shutil.copytree(HERE / "ocr_system", module)
        source = (module / "module.py").read_text().replace("@BENCH@", str(HERE))
        (module / "module.py").write_text(source)
        # No call home: a host that does not answer would be waited for.
        (home / "conf").mkdir(parents=True)
        (home / "conf/config.yaml").write_text(
            "server: http://127.0.0.1:9\nlog:\n  enable: true\n  level: INFO\n"
        )
        hub = str(python.parent / "hub")
        quiet: dict[str, Any] = {"cwd": work, "env": variables, "stdout": subprocess.DEVNULL}
        subprocess.run(
            [hub, "install", str(module)], check=True, stderr=subprocess.DEVNULL, **quiet
        )
        options = ["-m", "ocr_system", "-p", str(port)]
        if mkldnn:
            config = Path(work) / "config.json"
            init_args = {"version": "1.0.0", "enable_mkldnn": True}
            config.write_text(
                json.dumps(
                    {
                        "modules_info": {
                            "ocr_system": {"init_args": init_args, "predict_args": {}}
                        },
                        "port": port,
                        "use_multiprocess": False,
                    }
                )
            )
            options = ["-c", str(config)]
        with (Path(work) / "log").open("w") as log:
            process = subprocess.Popen(
                [hub, "serving", "start", *options], stderr=log, start_new_session=True, **quiet
            )
        try:
            yield Service(f"http://127.0.0.1:{port}/predict/ocr_system", process.pid, page)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def ours(
    page: str, image: str, models: Path | None = None, params: Path | None = None, **settings: str
) -> Iterator[Service]:
    """Our container with default settings, changed by ``settings`` (PPOCR_* without prefix).

    ``models`` is a folder with det, cls and rec to serve instead of the image's own, ``params`` a
    file of parameters.
    """
    port = free_port()
    name = f"ppocr-bench-{port}"
    variables = [f"--env=PPOCR_{key.upper()}={value}" for key, value in settings.items()]
    command = ["docker", "run", "--detach", "--rm", "--init", "--name", name, "--memory=4g"]
    command += [f"--publish=127.0.0.1:{port}:8866", "--tmpfs=/tmp"]
    command += ["--tmpfs=/run/ppocr:mode=0755,uid=10001,gid=10001", *variables]
    command += [f"--volume={models}:/opt/ppocr/models:ro"] if models else []
    command += [f"--volume={params}:{PARAMS_FILE}:ro"] if params else []
    command += [image]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    try:
        inspect = ["docker", "inspect", "--format={{.State.Pid}}", name]
        pid = int(subprocess.run(inspect, check=True, capture_output=True, text=True).stdout)
        yield Service(f"http://127.0.0.1:{port}/predict/ocr_system", pid, page)
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=False, stdout=subprocess.DEVNULL)
