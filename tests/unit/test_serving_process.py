"""The container's processes: supervisor, settings, PaddleHub's home, CPUs, packages left out."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ppocr_serving import cpus, hubhome, listening, missing_packages

from ppocr_contract import config
from ppocr_contract.settings import Settings, SettingsError

SERVING = Path(__file__).parents[2] / "images/ppocr/serving"


@pytest.fixture
def supervised(tmp_path):
    """Start a supervisor in a process of its own, since it takes over signals and orphans.

    Its server is Python code; the service's folder is ``run`` below ``tmp_path``.
    """
    started = []
    run = tmp_path / "run"
    run.mkdir()

    def start(code, max_failures, hold=600):
        program = (
            "import logging, sys; logging.basicConfig(); from ppocr_serving import supervisor;"
            f"supervisor._PAUSE = supervisor._MOST = 0.05; supervisor._HOLD = {hold};"
            "supervisor._STOPPED = 0.1;"
            f"server = [sys.executable, '-c', {code!r}];"
            f"sys.exit(supervisor.Supervisor(server, {max_failures}).run())"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(SERVING), "PPOCR_RUN_DIR": str(run)},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def until(process, text):
    """Lines on stderr up to one that has the text."""
    lines = [""]
    while text not in lines[-1]:
        lines.append(process.stderr.readline())
        assert lines[-1], lines
    return lines


def numbers(file, count):
    """The first ``count`` numbers processes have written to a file, one a line."""
    deadline = time.monotonic() + 60
    while not file.exists() or len(file.read_text().split()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [int(number) for number in file.read_text().split()]


def gone(pid):
    """Wait until a process is not there any more."""
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_failure_ends_the_container_when_a_person_runs_it(supervised):
    assert supervised("raise SystemExit(7)", 0).wait(30) == 7


def test_a_crash_loop_stops_and_waits_for_the_operator(supervised, tmp_path):
    process = supervised("raise SystemExit(3)", 3)
    lines = until(process, "gave up")
    assert sum("ended with status 3" in line for line in lines) == 3
    assert "gave up after 3 failures in a row" in (tmp_path / "run/gave-up.txt").read_text()
    time.sleep(0.3)
    assert process.poll() is None  # still there, idle
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 1


def test_in_the_end_the_engine_has_its_turn(supervised):
    process = supervised("raise SystemExit(3)", 2, hold=0.1)
    until(process, "gave up")
    assert process.wait(30) == 1


def test_the_cause_is_in_what_it_says_of_giving_up(supervised, tmp_path):
    code = (
        "from ppocr_serving.server.not_ready import NotReady\n"
        "NotReady().write('det/inference.pdmodel is missing')\n"
        "raise SystemExit(2)\n"
    )
    until(supervised(code, 2), "gave up")
    said = (tmp_path / "run/gave-up.txt").read_text()
    assert said == "gave up after 2 failures in a row: det/inference.pdmodel is missing"


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), 9)", "os.abort()", "sys.exit(1)", "sys.exit(0)"]
)
def test_what_has_served_is_started_anew_however_often(supervised, tmp_path, end):
    code = (
        "import os, sys, pathlib\n"
        "from ppocr_serving import supervisor\n"
        "supervisor.SERVED.touch()\n"
        f"with open({str(tmp_path / 'starts')!r}, 'a') as file: file.write(f'{{os.getpid()}}\\n')\n"
        f"{end}\n"
    )
    process = supervised(code, 3)
    numbers(tmp_path / "starts", 8)
    assert process.poll() is None
    assert not (tmp_path / "run/gave-up.txt").exists()


def test_a_kill_from_outside_says_nothing_on_whether_it_can_start(supervised, tmp_path):
    code = (
        "import os, time\n"
        f"with open({str(tmp_path / 'starts')!r}, 'a') as file: file.write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(600)\n"
    )
    process = supervised(code, 3)
    for count in range(1, 6):
        os.kill(numbers(tmp_path / "starts", count)[-1], signal.SIGKILL)
    numbers(tmp_path / "starts", 6)
    assert process.poll() is None and not (tmp_path / "run/gave-up.txt").exists()


#: A server that leaves processes behind which nothing would end: one in its group, one in a session
#: of its own whose parent has gone, one that was stopped.
LEAVES = """
import os, pathlib, signal, subprocess, sys, time
pathlib.Path({served!r}).touch()
def note(pid):
    with open({file!r}, 'a') as file: file.write(f'{{pid}}\\n')
wait = [sys.executable, '-c', 'import time; time.sleep(600)']
note(subprocess.Popen(wait).pid)
if os.fork() == 0:
    os.setsid()
    note(subprocess.Popen(wait).pid)
    os._exit(0)
os.wait()
stopped = subprocess.Popen(wait).pid
os.kill(stopped, signal.SIGSTOP)
note(stopped)
note(os.getpid())
time.sleep(600)
"""


def test_nothing_of_the_old_server_is_left_beside_the_new_one(supervised, tmp_path):
    file = tmp_path / "pids"
    supervised(LEAVES.format(served=str(tmp_path / "run/served"), file=str(file)), 3)
    first = numbers(file, 4)
    os.kill(first[3], signal.SIGKILL)
    numbers(file, 5)  # the next one has started
    assert not [pid for pid in first if Path(f"/proc/{pid}").exists()]


def test_a_stopped_server_is_started_anew(supervised, tmp_path):
    code = (
        "import os, time\n"
        f"with open({str(tmp_path / 'starts')!r}, 'a') as file: file.write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(600)\n"
    )
    supervised(code, 3)
    os.kill(numbers(tmp_path / "starts", 1)[0], signal.SIGSTOP)
    numbers(tmp_path / "starts", 2)


def test_the_server_ends_with_its_supervisor(supervised, tmp_path):
    code = (
        "import os, time\n"
        "from ppocr_serving import processes\n"
        "processes.end_with_starter()\n"
        f"with open({str(tmp_path / 'starts')!r}, 'a') as file: file.write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(600)\n"
    )
    process = supervised(code, 3)
    (server,) = numbers(tmp_path / "starts", 1)
    process.kill()
    gone(server)


def test_whose_parent_has_ended_before_it_could_say_so_ends():
    code = "from ppocr_serving import processes; processes.end_with_parent(1)"
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SERVING)},
        check=False,
    )
    assert finished.returncode == -signal.SIGKILL


def test_sigterm_reaches_the_server_and_ends_well(supervised, tmp_path):
    mark = tmp_path / "finished"
    code = (
        "import signal, sys, time, pathlib\n"
        f"def stop(*a): pathlib.Path({str(mark)!r}).touch(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"pathlib.Path({str(tmp_path / 'up')!r}).touch()\n"
        "time.sleep(30)"
    )
    process = supervised(code, 3)
    deadline = time.monotonic() + 10
    while not (tmp_path / "up").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert mark.exists()


def test_settings_come_from_the_environment():
    settings = Settings.from_environment({"PPOCR_WORKERS": "2", "PPOCR_MAX_REQUESTS": "0"})
    assert (settings.workers, settings.max_requests, settings.threads) == (2, 0, 4)


@pytest.mark.parametrize("text", ["0", "two", "-1", "1.5"])
def test_settings_that_will_not_do_are_named(text):
    with pytest.raises(SettingsError, match=f"PPOCR_WORKERS={text}"):
        Settings.from_environment({"PPOCR_WORKERS": text})


def test_a_port_that_another_program_has_is_named_with_the_setting():
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} .*in use.*hubserving_port"):
            listening.for_front(port, 1)


@pytest.mark.parametrize(
    ("hard", "allowed", "told"), [(4000, 2500, ""), (2000, 2000, "hubserving_connections")]
)
def test_connections_are_not_kept_out_by_the_soft_limit_of_files(hard, allowed, told):
    said = run_with_serving(
        "import logging, resource, sys\n"
        f"sys.path.append({str(Path(config.__file__).parents[1])!r})\n"
        "logging.basicConfig(stream=sys.stdout)\n"
        "from ppocr_serving import listening\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (1024, {hard}))\n"
        "listening.allow_files(2500)\n"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    *warnings, limits = said.splitlines()
    assert limits == f"{allowed} {hard}"
    assert told in "".join(warnings) and bool(told) == bool(warnings)


def test_hub_home_sends_nothing_anywhere(tmp_path):
    modules = tmp_path / "installed"
    (modules / "ocr_det").mkdir(parents=True)
    (modules / "ocr_det/module.py").touch()
    home = hubhome.prepare(tmp_path / "home", modules)
    assert "server: http://127.0.0.1:9\n" in (home / "conf/config.yaml").read_text()
    assert hubhome.installed_modules(home) == ["ocr_det"]
    written = (home / "conf/config.yaml").stat()  # reading it changes the time of access
    hubhome.prepare(home, modules)  # again at the next start
    # Others read it meanwhile, and there may be no space: what is right is left alone.
    now = (home / "conf/config.yaml").stat()
    assert (now.st_ino, now.st_ctime_ns) == (written.st_ino, written.st_ctime_ns)


@pytest.mark.parametrize(
    ("files", "brings"),
    [
        ({"module.py": "from ppocr_serving.hubmodule import OcrModule\nimport paddlehub\n"}, False),
        ({"module.py": "import paddlehub\nfrom tools.infer import predict_system\n"}, True),
        ({"module.py": "import paddle\nfrom ppocr_serving import runtime\n"}, True),
        ({"module.py": "import ppocr_serving\ndef f():\n    import paddle.nn\n"}, True),
        ({"module.py": "import ppocr_serving\n", "a/net.py": "from paddle.nn import Conv\n"}, True),
        ({"module.py": "import ppocr_serving\n", "a/net.py": "from .paddle import x\n"}, False),
        ({"module.py": "import ppocr_serving\n", "old/notes.py": "print 'Python 2'\n"}, False),
        ({}, False),
    ],
)
def test_a_module_brings_paddle_by_its_code_not_by_its_name(tmp_path, files, brings):
    for name, text in files.items():
        file = tmp_path / "modules/ocr_system" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert bool(hubhome.why_paddle({"ocr_system": {"init_args": {}}}, tmp_path)) is brings


def test_none_of_ours_brings_paddle(tmp_path):
    (tmp_path / "modules").symlink_to(SERVING.parent / "modules")
    modules = {name: {"init_args": {}} for name in config.OUR_MODULES}
    assert not hubhome.why_paddle(modules, tmp_path)


def test_cpus_follow_the_quota(tmp_path):
    assert cpus.available_cpus(tmp_path) == len(os.sched_getaffinity(0))
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert cpus.available_cpus(tmp_path) == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cpus.available_cpus(tmp_path) == len(os.sched_getaffinity(0))


def run_with_serving(code):
    """What Python code prints in a process of its own, since it changes what can be imported."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SERVING)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_left_out_packages_can_be_imported_but_not_used():
    code = (
        "from ppocr_serving import missing_packages; missing_packages.install()\n"
        "import visualdl; from paddlenlp.data import JiebaTokenizer\n"
        "class Own(JiebaTokenizer): pass\n"
        "import json.decoder\n"
        "try: JiebaTokenizer('x')\n"
        "except missing_packages.MissingPackageError as error: print(error)\n"
        "try: import no_such_package\n"
        "except ModuleNotFoundError: print('as usual')\n"
    )
    printed = run_with_serving(code)
    assert "paddlenlp.data.JiebaTokenizer was used" in printed
    assert "add paddlenlp to ppocr_image_extra_requirements" in printed
    assert printed.endswith("as usual\n")


def test_paddle_can_be_imported_where_there_is_none():
    code = (
        "from ppocr_serving import missing_packages; missing_packages.install()\n"
        "missing_packages._BY_PADDLE = 'json'\n"
        "import paddle; from paddle import nn\n"
        "print(paddle.__version__, missing_packages.has_paddle())\n"
        "try: nn.Layer()\n"
        "except missing_packages.MissingPackageError as error: print(error)\n"
    )
    assert run_with_serving(code).splitlines() == [
        f"{missing_packages.PADDLE_VERSION} False",
        "paddle.nn.Layer was used, but this image has no Paddle: deploy with ppocr_image_paddle: "
        "with",
    ]


def test_a_process_does_without_an_installed_package():
    code = (
        "from ppocr_serving.missing_packages import stub, MissingPackageError\n"
        "stub('xmlrpc', 'it is not wanted here', __version__='2')\n"
        "stub('wsgiref.simple_server', 'it is not wanted here')\n"
        "import json; stub('json', 'too late')\n"
        "import xmlrpc, xmlrpc.client as client, wsgiref.util\n"
        "class Own(client.ServerProxy): pass\n"
        "print(xmlrpc.__version__, isinstance(1, xmlrpc.some.Thing), json.dumps({}))\n"
        "print(wsgiref.util.__file__)\n"
        "from wsgiref import simple_server\n"
        "for use in (client.ServerProxy, xmlrpc.some.thing, simple_server.x):\n"
        "    try: use()\n"
        "    except MissingPackageError as error: print(error)\n"
    )
    printed = run_with_serving(code)
    lines = printed.splitlines()
    assert lines[0] == "2 False {}"
    assert lines[1].endswith("wsgiref/util.py")
    assert lines[2:] == [
        f"{name} was used, but it is not wanted here"
        for name in ("xmlrpc.client.ServerProxy", "xmlrpc.some.thing", "wsgiref.simple_server.x")
    ]


@pytest.mark.parametrize(
    ("name", "init_args", "needed"),
    [
        ("ocr_system", {}, False),
        ("ocr_det", {"engine": "openvino"}, False),
        ("ocr_rec", {"engine": "paddle"}, True),
        ("ocr_rec", {"use_gpu": True}, False),
        ("ocr_rec", {"use_gpu": True, "engine": "paddle"}, True),
    ],
)
def test_who_needs_paddle(tmp_path, name, init_args, needed):
    described = {"modules_info": {"ocr_cls": {}, name: {"init_args": init_args}}}
    modules = config.check(json.dumps(described)).modules
    assert bool(hubhome.why_paddle(modules, tmp_path)) is needed
