"""Between clients and PaddleHub's app: settings, access, the middleware, reports, logs."""

import json
import logging
import time
from ipaddress import ip_network

import pytest
from ppocr_serving import logs, report
from ppocr_serving.report import RequestError
from ppocr_serving.server import oom
from ppocr_serving.server.access import Access, Tokens
from ppocr_serving.server.middleware import REPORT_HEADER, Middleware
from ppocr_serving.server.worker_registry import WorkerRegistry, resident_bytes
from ppocr_serving.threads import Threads

from ppocr_contract.settings import Settings, SettingsError


def settings(**values):
    return Settings.from_environment({f"PPOCR_{key.upper()}": text for key, text in values.items()})


def test_settings_of_each_kind_are_read():
    read = settings(stock_status="True", allow_networks="10.0.0.0/8, ::1", body_limit="3")
    assert read.stock_status and read.body_bytes == 3_000_000
    assert read.networks == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert not settings(stock_status="").stock_status


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"stock_status": "perhaps"}, "PPOCR_STOCK_STATUS=perhaps"),
        ({"allow_networks": "10.0.0.1/8"}, "PPOCR_ALLOW_NETWORKS"),
        ({"tls_cert": "/x"}, "PPOCR_TLS_KEY"),
        ({"queue": "0"}, "PPOCR_QUEUE=0"),
    ],
)
def test_settings_that_will_not_do(values, name):
    with pytest.raises(SettingsError, match=name):
        settings(**values)


def test_networks():
    access = Access(settings(allow_networks="10.0.0.0/8"))
    allowed = ("10.1.2.3", "127.0.0.1", "::ffff:10.1.2.3", "::1")
    assert all(access.from_allowed_network(address) for address in allowed)
    assert not any(access.from_allowed_network(address) for address in ("11.1.1.1", "fe80::1", ""))
    assert Access(settings()).from_allowed_network("anywhere")


def test_tokens_are_read_again_and_kept_while_the_file_is_away(tmp_path, monkeypatch):
    monkeypatch.setattr("ppocr_serving.server.access._LOOK_AGAIN", 0)
    path = tmp_path / "tokens"
    with pytest.raises(SettingsError):
        Tokens(path)
    path.write_text("# old\none\n\n")
    tokens = Tokens(path)
    assert tokens.accept("Bearer one") and tokens.accept("bearer one")
    refused = ("", "one", "Bearer", "Bearer # old", "Basic one", "Bearer o", "Bearer één")
    assert not any(tokens.accept(text) for text in refused)
    path.unlink()
    assert tokens.accept("Bearer one")
    path.write_text("longer\n")
    assert tokens.accept("Bearer longer") and not tokens.accept("Bearer one")


class Watched:
    def watching(self, request_id):
        return report.stage("watched")


def ask(answer, note=lambda noted: None, code="200 OK", stock=False):
    """Status, parsed body and report of the middleware around an app that gives ``answer``."""

    def app(environ, start_response):
        note(report.current())
        start_response(code, [("Content-Type", "application/json")])
        return [json.dumps(answer, separators=(",", ":")).encode()]

    said = {}

    def start_response(status, headers):
        said.update(headers, status=int(status[:3]))

    body = b"".join(Middleware(app, Watched(), stock)({}, start_response))
    assert int(said["Content-Length"]) == len(body)
    return said["status"], json.loads(body), json.loads(said[REPORT_HEADER])


def failed(error):
    return lambda noted: setattr(noted, "problem", error)


OK = {"status": "000", "msg": "", "results": [[]]}
BAD = {"status": "101", "msg": "no such file: '/opt/x'", "results": ""}


def test_success_passes_as_it_is():
    assert ask(OK)[:2] == (200, OK)


def test_faults_of_clients_and_of_ours():
    status, answer, noted = ask(BAD, failed(RequestError("too many", "images", 413)))
    assert (status, answer, noted["kind"]) == (413, BAD, "images")
    status, answer, noted = ask(BAD, failed(OSError("x")))
    assert (status, answer["results"], noted["kind"]) == (500, "", "internal")
    assert "/opt" not in answer["msg"]
    assert ask({"status": "111", "msg": "", "results": ""})[0] == 404
    assert ask(BAD, code="400 Bad Request")[0] == 400


def unreadable(*numbers):
    def note(noted):
        noted.images = 2
        noted.unreadable = {
            f"images[{number}]": RequestError("damaged", "image", 422) for number in numbers
        }

    return note


def test_unreadable_images():
    some = {"status": "000", "msg": "", "results": [[1], []]}
    assert ask(some, unreadable(1))[:2] == (200, some | {"msg": "images[1]: damaged"})
    status, answer, _ = ask(OK, unreadable(0, 1))
    assert (status, answer["status"], answer["results"]) == (422, "101", [[]])
    assert ask(OK, unreadable(0, 1), stock=True)[:2] == (200, OK)


def test_the_report_follows_work_to_the_inference_threads():
    def work(number):
        with report.stage("work"):
            time.sleep(0.02)
            return number * 2

    with report.of_request() as noted:
        assert Threads(2).map(work, [1, 2, 3]) == [2, 4, 6]
    assert 0.06 <= noted.seconds["work"] < 60  # of all three, wherever they ran
    assert report.current() is None


def test_worker_registry(tmp_path):
    import os

    board = WorkerRegistry(tmp_path / "workers")
    board.clear()
    board.enter(os.getpid(), 1, {"ocr_rec": "cpu"})
    board.enter(2**22 - 3, 0, {})  # no such process
    assert board.ready() == {os.getpid(): {"slot": 1, "modules": {"ocr_rec": "cpu"}}}
    assert board.gone() == {2**22 - 3: False}
    board.leave(os.getpid())
    board.mark_leaving(os.getpid())  # it had left before
    assert board.ready() == {}
    assert board.gone() == {os.getpid(): False}
    board.enter(os.getpid(), 0, {"ocr_rec": ""})
    board.mark_leaving(os.getpid())
    board.leave(os.getpid())
    assert (board.ready(), board.gone()) == ({}, {os.getpid(): True})
    assert board.gone() == {}
    assert resident_bytes(os.getpid()) > 1e6 and resident_bytes(2**22 - 3) == 0


def test_log_lines_are_json():
    record = logging.LogRecord("n", logging.INFO, "p", 1, "said %s", ("更多",), None)
    record.fields = {"code": 200}
    line = json.loads(logs.JsonFormatter().format(record))
    assert (line["message"], line["code"], line["level"]) == ("said 更多", 200, "INFO")


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("x" * 70_000_000, {}),
        ("short", {"reason": "x" * 9_000_000}),
        ("short", {"modules": {"y" * 99_000: ["x" * 99_000] * 5000}}),
        ("half a pair: \ud800", {"name": "\udfff"}),
        ("short", {"error": ValueError("x" * 99_000)}),
    ],
    ids=range(5),
)
def test_what_a_request_says_is_capped_in_log_lines(message, fields):
    record = logging.LogRecord("n", logging.INFO, "p", 1, "%s", (message,), None)
    record.fields = fields
    text = logs.JsonFormatter().format(record)
    assert len(text.encode("utf-8")) < 150_000
    line = json.loads(text)
    assert line["message"][:5] == message[:5] and set(fields) <= set(line)


def test_the_kernel_says_what_it_killed_for_memory(tmp_path, monkeypatch):
    assert oom.kills(tmp_path) == 0
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.oom_control").write_text("oom_kill_disable 0\noom_kill 2\n")
    assert oom.kills(tmp_path) == 2
    (tmp_path / "memory.events").write_text("oom 9\noom_kill 3\noom_group_kill 0\n")
    assert oom.kills(tmp_path) == 3
    count = [3]
    monkeypatch.setattr(oom, "kills", lambda: count[0])
    watch = oom.OomWatch()
    watch.look()
    assert not watch.explains()
    count[0] = 5
    watch.look()
    watch.look()
    assert [watch.explains() for _ in range(3)] == [True, True, False]


def test_pages_are_told_beside_results():
    def note(noted):
        noted.images = 1
        noted.pages.append({"pdf": 0, "page": 1, "width": 3, "height": 4})

    status, answer, _ = ask(OK, note)
    assert status == 200 and answer == OK | {
        "pages": [{"pdf": 0, "page": 1, "width": 3, "height": 4}]
    }


def test_what_was_not_read_of_a_picture_is_said_and_no_error():
    def note(noted):
        noted.images = 2
        noted.notes["images[1]"] = "the first of 3 pages was read"

    answer = {"status": "000", "msg": "", "results": [["x"], ["y"]]}
    status, said, summary = ask(answer, note)
    assert (status, said["status"], summary["kind"]) == (200, "000", "")
    assert said["msg"] == "images[1]: the first of 3 pages was read"
    assert said["results"] == answer["results"]
    assert ask(answer, note, stock=True)[1] == answer
