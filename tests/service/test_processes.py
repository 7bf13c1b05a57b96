"""Front, gunicorn and workers killed or stopped, floods, no space: the service is there again."""

import ast
import base64
import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from flood import Flood, run_kilobytes
from kills import AT_REST, ROLES, Killing, orphans

from tests import pdfs
from tests.containers import docker, encoded
from tests.tiers import for_full

JSON = {"Content-Type": "application/json"}

#: One process for each test of the default run, the others for --full.
ANY_ROLE = [ROLES[-1], *for_full(*ROLES[:-1])]


def at_rest(service):
    """Wait until every role has as many processes as it should, and no orphan is there."""
    service.ready()
    service.wait(lambda: {role: len(service.pids(role)) for role in AT_REST} == AT_REST)
    service.wait(lambda: orphans(service) == {})
    return service


@pytest.mark.full
def test_killed_at_random_it_is_there_in_the_end(start, request):
    kills = request.config.getoption("--kills")
    minutes = request.config.getoption("--kill-minutes")
    service = start(max_failures=3).ready()
    with Killing(service) as killing:
        killing.spread(kills, 60 * minutes)
        service.ready()
    print(killing.client_status())
    assert killing.wrong == []
    assert killing.counts["right"] > 0
    # Only who lost three workers is given up, whoever else was with them.
    ended = killing.counts["killed worker"] + killing.counts["killed gunicorn"]
    assert killing.counts["given up"] <= 4 * (ended // 3)
    # Each kill of the front costs at most what its clients had with it.
    assert killing.counts["lost"] <= 4 * killing.counts["killed run"]
    at_rest(service)
    assert service.texts()
    assert "gave up" not in service.logs()


@pytest.mark.parametrize("role", ANY_ROLE)
def test_killed_more_often_than_a_start_may_fail(start, role):
    service = start(max_failures=3).ready()
    with Killing(service, clients=2) as killing:
        for _ in range(4):
            service.wait(lambda: killing.kill(role))
    assert killing.wrong == []
    assert killing.counts["busy"] == 0
    assert killing.counts["lost"] <= 2 * killing.counts["killed run"]
    at_rest(service)


@pytest.mark.parametrize("role", ANY_ROLE)
def test_stopped_processes_are_replaced_and_their_requests_answered(start, role):
    service = start(threads=4, max_failures=3).ready()
    if role == "run":  # requests with a front that is killed are lost
        service.kill(*service.pids(role), signal="STOP")
        service.wait(lambda: "the server was stopped (SIGSTOP)" in service.logs())
        assert at_rest(service).texts()
        return
    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(service.predict, "stuck", {"gate": "go"}) for _ in range(4)]
        service.working(4)
        service.kill(*service.pids(role), signal="STOP")
        service.logged("process is stopped (SIGSTOP): killed")
        service.open_gate("go")
        assert [one.result()[0] for one in asked] == [200] * 4
    at_rest(service)


def test_a_worker_stopped_while_it_starts_is_replaced(start):
    service = start(max_failures=3).ready()
    service.kill(*service.pids("worker"))
    service.wait(lambda: service.pids("worker"))
    service.kill(*service.pids("worker"), signal="STOP")
    at_rest(service)


def test_a_worker_that_waits_for_a_cpu_is_left_alone(start):
    service = start("--cpus=0.25", max_failures=3).ready()
    with ThreadPoolExecutor(4) as clients:
        bodies = [{"images": [encoded("large.png")]}] * 4
        answers = list(clients.map(lambda body: service.predict("ocr_system", body), bodies))
    assert {status for status, _ in answers} <= {200, 504}
    assert "SIGSTOP" not in service.logs()


def test_a_pdf_drawer_ends_with_its_worker(start):
    service = start(pdf_timeout=600, timeout=600, max_failures=3).ready()
    endless = base64.b64encode(pdfs.laughing()).decode()
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(service.predict, "ocr_system", {"pdfs": [endless]})
        service.wait(lambda: service.pids("draw"))
        drawers = service.pids("draw")
        service.kill(*service.pids("worker"))
        service.wait(lambda: not set(drawers) & set(service.pids("draw")))
        service.remove()
        assert isinstance(asked.exception(), OSError | http.client.HTTPException)


def test_what_cannot_start_says_so_in_the_healthcheck(start, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir(mode=0o755)
    (broken / "module.py").write_text("import ppocr_serving, no_such_package\n")
    info = {"broken": {"init_args": {"directory": "/broken"}, "predict_args": {}}}
    (tmp_path / "broken.json").write_text(json.dumps({"modules_info": info, "port": 8866}))
    service = start(
        f"--volume={broken}:/broken:ro", f"--volume={tmp_path / 'broken.json'}:/broken.json:ro",
        "--env=PPOCR_CONFIG=/broken.json", max_failures=3,
    )  # fmt: skip
    service.wait(lambda: "gave up after 3 failures" in service.logs())
    probe = docker("exec", service.name, "python", "-m", "ppocr_serving.healthcheck", check=False)
    assert probe.returncode == 1
    assert probe.stderr.startswith("not ready: gave up after 3 failures in a row: ")
    assert "no_such_package" in probe.stderr
    assert service.state["Running"]
    # "gave up" is the last thing it does: from here on it only waits to be told to end.
    docker("stop", "--time", "30", service.name)
    lines = service.logs().splitlines()
    assert sum("the server ended with status" in line for line in lines) == 3
    # Each start said it, and the line that gives up repeats it.
    assert sum("no_such_package" in line and "gave up" not in line for line in lines) >= 3
    assert service.state["ExitCode"] == 1


def test_a_flood_of_bad_requests_leaves_nothing_behind(start, request):
    requests = request.config.getoption("--flood-requests")
    service = start(max_failures=3, memory_ceiling=0, max_requests=0).ready()
    before = run_kilobytes(service)
    flood = Flood(service, requests)
    flood.send()
    print(f"flood: {dict(flood.counts)}; /run/ppocr {run_kilobytes(service)} kB")
    assert flood.wrong == []
    assert run_kilobytes(service) <= before + 64
    assert service.metric("ppocr_worker_restarts_total") == 0
    gunicorn = service.pids("gunicorn")
    first = service.pids("worker")
    service.kill(*gunicorn, signal="TTIN")
    service.wait(lambda: service.metric("ppocr_workers") == 2)
    service.kill(*gunicorn, signal="TTOU")
    service.wait(lambda: service.metric("ppocr_workers") == 1)
    # It says goodbye before the interpreter has ended.
    service.wait(lambda: set(service.pids("worker")).isdisjoint(first))
    assert service.metric('ppocr_worker_restarts_total{reason="recycled"}') == 1
    assert service.texts()


def test_no_log_line_is_as_long_as_a_request(start):
    service = start(body_limit=64).ready()
    long = "k" * 20_000_000
    for body in ({long: 1}, {"images": [long]}, {"images": [], "paths": long}):
        assert service.predict("ocr_system", body)[0] in (400, 422)
    assert service.predict("stuck", {"fail": long})[0] == 500
    assert service.predict("stuck", {long: 1})[0] == 500
    assert max(map(len, service.logs().splitlines())) < 20_000
    assert run_kilobytes(service) < 200


@pytest.mark.parametrize("role", ANY_ROLE)
def test_without_space_in_its_folder_it_comes_back_all_the_same(start, role):
    service = start(
        "--tmpfs=/run/ppocr:size=1m,mode=0755,uid=10001,gid=10001", max_failures=3
    ).ready()
    docker("exec", service.name, "sh", "-c", "cat /dev/zero >/run/ppocr/full", check=False)
    for _ in range(2):
        service.kill(*service.pids(role))
        assert service.texts()
        at_rest(service)


def test_the_first_request_waits_for_workers_that_were_lost_before_it(start):
    service = start().ready()
    service.kill(*service.pids("gunicorn"))
    service.logged("worker lost")
    assert service.texts()


def test_beyond_the_containers_memory_workers_die_and_are_told_from_others(start):
    service = start(memory_ceiling=0, memory="1g").ready()
    service.kill(*service.pids("worker"))
    service.logged("worker lost")
    service.ready()
    assert service.metric('ppocr_worker_restarts_total{reason="lost"}') == 1
    assert service.predict("stuck", {"eat": 2000})[0] == 500
    service.logged("worker killed for memory")
    service.wait(lambda: service.metric('ppocr_worker_restarts_total{reason="memory"}') == 3)
    assert service.metric('ppocr_worker_restarts_total{reason="lost"}') == 1
    assert service.metric('ppocr_worker_restarts_total{reason="recycled"}') == 0
    assert service.ready().texts()
    assert service.state["Running"]


#: Run in the container: what the kernel adds to each process's score, once a healthcheck is there.
SCORES = """
import pathlib
found = {}
while not any("healthcheck" in command for command in found):
    found = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode().split(chr(0))
            if command[0].endswith("python") and command[1] == "-m":
                score = int((process / "oom_score_adj").read_text())
                found.setdefault(" ".join(command[2:]).strip(), []).append(score)
        except OSError:
            pass  # it ended meanwhile
print(found)
"""


def test_where_memory_runs_out_the_front_is_not_the_first_to_go(start):
    service = start("--health-interval=1s").ready()
    found = ast.literal_eval(service.execute("timeout", "60", "python", "-c", SCORES).stdout)
    found["ppocr_serving workers"].sort()
    assert found == {
        "ppocr_serving serve": [0],
        "ppocr_serving run": [0],
        "ppocr_serving workers": [0, 500],
        "ppocr_serving.healthcheck": [1000],
    }


def test_a_worker_that_aborts_counts_as_lost(start):
    service = start().ready()
    service.kill(*service.pids("worker"), signal="ABRT")
    service.logged("worker lost")
    service.ready()
    assert service.metric('ppocr_worker_restarts_total{reason="recycled"}') == 0


def test_requests_without_an_answer_when_it_ends_are_told_so(start):
    service = start(threads=1, graceful_timeout=1).ready()
    with ThreadPoolExecutor(2) as clients:
        asked = [
            clients.submit(service.request, "POST", "/predict/stuck", b'{"gate": "never"}', JSON)
            for _ in range(2)
        ]
        service.working(1, queued=1)
        docker("stop", "--time", "30", service.name)
        for status, headers, data in (one.result() for one in asked):
            assert status == 503 and int(headers["Retry-After"]) >= 1
            assert json.loads(data)["status"] == "101"
