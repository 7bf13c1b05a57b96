"""Workers that hang, die, grow or are replaced: requests are answered all the same."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.containers import docker, encoded


def ask_until(service, stop, failures):
    """Ask in a loop; note what was not answered rightly."""
    while not stop.is_set():
        try:
            status, answer = service.predict("ocr_rec", {"images": [encoded("line.png")]})
            if status != 200 or answer["results"][0][0]["text"].strip() != "单行识别2026":
                failures.append((status, answer))
        except OSError as error:
            failures.append(repr(error))


def test_a_hung_worker_is_killed_and_replaced(start):
    service = start(timeout=6, threads=3).ready()
    service.texts()
    with ThreadPoolExecutor(4) as clients:
        hung = clients.submit(service.predict, "stuck", {"gate": "never"})
        service.working(1)
        # Their own time must not be up when the worker is killed: they come later. Where this takes
        # longer than it should they meet the next worker, which must answer as well.
        time.sleep(2)
        others = [clients.submit(service.predict, "stuck", {"gate": "others"}) for _ in range(2)]
        service.logged("worker hangs: killed")
        service.wait(lambda: not service.is_ready())  # not ready meanwhile
        service.open_gate("others")
        status, answer = hung.result()
        assert status == 504 and "6 s" in answer["msg"]
        assert [other.result()[0] for other in others] == [200, 200]
    service.ready()
    assert service.texts()
    assert service.metric("ppocr_worker_restarts_total") == 1


def test_a_worker_that_dies_costs_nobody_else_anything(start):
    service = start(threads=3).ready()
    with ThreadPoolExecutor(2) as clients:
        other = clients.submit(service.predict, "stuck", {"gate": "other"})
        service.working(1)
        dies = clients.submit(service.predict, "stuck", {"die": True})
        service.logged("worker lost")
        service.open_gate("other")
        status, answer = dies.result()
        assert status == 500 and answer["results"] == ""
        assert other.result()[0] == 200
    service.ready()
    assert service.texts()
    # A request may lose three workers, not one more.
    assert service.metric('ppocr_worker_restarts_total{reason="lost"}') == 3


def test_workers_are_renewed_without_a_pause(start):
    service = start(max_requests=15, memory_ceiling=0).ready()
    stop, failures = threading.Event(), []
    clients = [threading.Thread(target=ask_until, args=(service, stop, failures)) for _ in range(3)]
    for client in clients:
        client.start()
    service.wait(lambda: service.metric("ppocr_worker_restarts_total") >= 2, 240)
    stop.set()
    for client in clients:
        client.join()
    assert failures == []
    assert service.metric('ppocr_worker_restarts_total{reason="lost"}') == 0


def test_a_worker_that_grows_is_renewed(start):
    service = start(memory_ceiling=900).ready()
    assert service.predict("stuck", {"eat": 600})[0] == 200
    assert service.logged("worker is renewed")["bytes"] > 9e8
    service.wait(lambda: service.metric("ppocr_worker_restarts_total") == 1)
    service.wait(lambda: 0 < service.metric("ppocr_worker_memory_bytes") < 9e8)
    assert service.texts()


def test_a_full_queue_is_told_at_once(start):
    service = start(threads=1, queue=2).ready()
    with ThreadPoolExecutor(3) as clients:
        waiting = [clients.submit(service.predict, "stuck", {"gate": "go"}) for _ in range(3)]
        service.working(1, queued=2)
        status, headers, data = service.request(
            "POST", "/predict/stuck", b"{}", {"Content-Type": "application/json"}
        )
        # It did not wait: nothing else has been answered.
        assert status == 503 and int(headers["Retry-After"]) >= 1
        assert json.loads(data)["status"] == "101"
        assert service.metric("ppocr_queue_requests") == 2
        service.open_gate("go")
        assert [answer.result()[0] for answer in waiting] == [200, 200, 200]


def test_requests_in_flight_finish_when_it_stops(start):
    """One is worked on, one waits for the worker, one has not sent its last byte."""
    service = start(threads=1).ready()
    body = json.dumps({"images": [encoded("line.png")]}).encode()
    connection = service.connection()
    connection.putrequest("POST", "/predict/ocr_rec")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:-1])
    service.wait(lambda: service.metric("ppocr_buffered_bytes") > 0)
    with ThreadPoolExecutor(3) as clients:
        answers = [clients.submit(service.predict, "stuck", {"gate": "go"}) for _ in range(2)]
        service.working(1, queued=1)
        stop = clients.submit(docker, "stop", "--time", "60", service.name)
        service.logged("stopping")
        connection.send(body[-1:])
        service.open_gate("go")
        assert [answer.result()[0] for answer in answers] == [200, 200]  # one of them had waited
        answer = connection.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["results"][0][0]["text"].strip() == "单行识别2026"
        stop.result()
    assert service.state["ExitCode"] == 0
    # It ended when they had, not when their time was up.
    assert "stopped before these requests finished" not in service.logs()
