"""The container's processes: supervisor, settings, PaddleHub's home, CPUs, absent packages."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ppocr_serving import absent, config, cpus, hubhome
from ppocr_serving.server.settings import Settings, SettingsError
from ppocr_serving.supervisor import Supervisor

SERVING = Path(__file__).parents[2] / "images/ppocr/serving"


def supervised(code, max_failures):
    """A supervisor in a process of its own, since it takes over signals."""
    program = (
        "import logging, sys; logging.basicConfig(); from ppocr_serving import supervisor;"
        "supervisor._PAUSE = 0.05;"
        f"sys.exit(supervisor.Supervisor([sys.executable, '-c', {code!r}], {max_failures}).run())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(SERVING)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_failure_ends_the_container_when_a_person_runs_it():
    assert Supervisor([sys.executable, "-c", "raise SystemExit(7)"], 0).run() == 7


def test_a_crash_loop_stops_and_waits_for_the_operator():
    process = supervised("raise SystemExit(3)", 3)
    lines = []
    while not lines or "gave up" not in lines[-1]:
        lines.append(process.stderr.readline())
        assert process.poll() is None, lines
    assert sum("ended with status 3" in line for line in lines) == 3
    time.sleep(0.3)
    assert process.poll() is None  # still there, idle
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 1


def test_sigterm_reaches_the_server_and_ends_well(tmp_path):
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


def test_hub_home_sends_nothing_anywhere(tmp_path):
    modules = tmp_path / "installed"
    (modules / "ocr_det").mkdir(parents=True)
    (modules / "ocr_det/module.py").touch()
    home = hubhome.prepare(tmp_path / "home", modules)
    assert "server: http://127.0.0.1:9\n" in (home / "conf/config.yaml").read_text()
    assert hubhome.installed_modules(home) == ["ocr_det"]
    hubhome.prepare(home, modules)  # again at the next start


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
        "from ppocr_serving import absent; absent.install(); absent.install()\n"
        "import visualdl; from paddlenlp.data import JiebaTokenizer\n"
        "class Own(JiebaTokenizer): pass\n"
        "import json.decoder\n"
        "try: JiebaTokenizer('x')\n"
        "except absent.AbsentDependencyError as error: print(error)\n"
        "try: import no_such_package\n"
        "except ModuleNotFoundError: print('as usual')\n"
    )
    printed = run_with_serving(code)
    assert "paddlenlp.data.JiebaTokenizer was used" in printed
    assert "add paddlenlp to ppocr_image_extra_requirements" in printed
    assert printed.endswith("as usual\n")
    assert "paddle" not in absent.LEFT_OUT


def test_a_process_does_without_an_installed_package():
    code = (
        "from ppocr_serving.absent import spare, AbsentDependencyError\n"
        "spare('xmlrpc', 'it is not wanted here', __version__='2')\n"
        "spare('wsgiref.simple_server', 'it is not wanted here')\n"
        "import json; spare('json', 'too late')\n"
        "import xmlrpc, xmlrpc.client as client, wsgiref.util\n"
        "class Own(client.ServerProxy): pass\n"
        "print(xmlrpc.__version__, isinstance(1, xmlrpc.some.Thing), json.dumps({}))\n"
        "print(wsgiref.util.__file__)\n"
        "from wsgiref import simple_server\n"
        "for use in (client.ServerProxy, xmlrpc.some.thing, simple_server.x):\n"
        "    try: use()\n"
        "    except AbsentDependencyError as error: print(error)\n"
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
        ("ocr_rec", {"use_gpu": True}, True),
        ("my_own", {}, True),
    ],
)
def test_who_needs_paddle(name, init_args, needed):
    described = {"modules_info": {"ocr_cls": {}, name: {"init_args": init_args}}}
    assert config.check(json.dumps(described)).needs_paddle is needed
