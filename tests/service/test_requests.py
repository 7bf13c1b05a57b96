"""Requests that are wrong, too large or odd: refused truthfully, and the service goes on."""

import gzip
import json
import socket

import pictures
import pytest

from tests.containers import encoded


def error(answer):
    assert set(answer) == {"status", "msg", "results"} and answer["status"] != "000", answer
    assert "/" not in answer["msg"].replace("POST /predict/<module>", "").replace(" / ", ""), answer
    assert "Traceback" not in answer["msg"]
    return answer["msg"]


@pytest.mark.parametrize("name", pictures.readable())
def test_formats_are_read(service, name):
    status, answer = service.predict("ocr_system", {"images": [pictures.readable()[name]]})
    assert status == 200, answer
    text = "".join(line["text"] for line in answer["results"][0])
    assert text.replace(" ", "") == pictures.TEXT.replace(" ", "")


@pytest.mark.parametrize("name", pictures.unreadable())
def test_what_is_no_image_is_said(service, name):
    status, answer = service.predict("ocr_system", {"images": [pictures.unreadable()[name]]})
    assert status == 422 and "images[0]" in error(answer)
    assert answer["results"] == [[]]  # what clients that do not look at the status meet


def test_an_unreadable_image_leaves_the_others_in_place(service):
    bad = pictures.unreadable()["head of a png"]
    body = {"images": [encoded("line.png"), bad, pictures.huge_png(6000, 6000)]}
    status, answer = service.predict("ocr_system", body)
    assert (status, answer["status"]) == (200, "000")
    assert [len(lines) for lines in answer["results"]] == [1, 0, 0]
    assert "images[1]" in answer["msg"] and "images[2]" in answer["msg"]


def test_pixels_are_counted_before_decoding(service):
    lost = service.metric("ppocr_worker_restarts_total")
    status, answer = service.predict("ocr_system", {"images": [pictures.huge_png(40000, 40000)]})
    assert status == 413 and "40000 x 40000" in error(answer)
    # Decoded it would have taken 4.8 GB, more than the container has.
    assert service.metric("ppocr_worker_restarts_total") == lost


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe\x00", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"images"', 400),
        (b'{"images": {}}', 400),
        (b'{"images": []}', 400),
        (b'{"images": [null]}', 400),
        (b'{"images": ["a"]}', 400),
        (b'{"images": ["aGVsbG8"]}', 400),
        (b'{"paths": ["/etc/passwd"]}', 400),
        (b'{"images": ["aGVsbG8="], "paths": ["/etc/passwd"]}', 400),
        (b'{"images": ["aGVsbG8="], "self": 1}', 400),
        (b'{"images": ["", "", "", "", ""]}', 413),
        (b"[" * 100_000, 400),
    ],
    ids=range(16),
)
def test_bodies_that_will_not_do(service, body, status):
    got, answer = service.predict("ocr_system", body)
    assert got == status, answer
    error(answer)


def test_content_type_path_and_method(service):
    body = json.dumps({"images": [encoded("line.png")]}).encode()
    got, answer = service.predict("ocr_system", body, {"Content-Type": "text/plain"})
    assert (got, answer["status"]) == (415, "112")
    got, answer = service.predict("no_such_module", body)
    assert (got, answer["status"]) == (404, "111")
    for method, path, expected in (
        ("GET", "/predict/ocr_system", 405),
        ("GET", "/gradio/ocr_system", 404),
        ("GET", "/static/../../etc/passwd", 404),
        ("POST", "/predict/ocr_system/x", 404),
        ("DELETE", "/", 405),
    ):
        got, _, data = service.request(method, path)
        assert got == expected, (method, path, data)
        error(json.loads(data))


def test_a_body_too_large_is_refused(service):
    large = b'{"images": ["' + b"A" * 2_100_000 + b'"]}'
    got, answer = service.predict("ocr_system", large)
    assert got == 413 and "2 MB" in error(answer)

    def pieces():
        yield from (large[i : i + 65536] for i in range(0, len(large), 65536))

    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    connection = service.connection()
    connection.request("POST", "/predict/ocr_system", pieces(), headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    packed = gzip.compress(b'{"images": ["' + b"A" * 5_000_000 + b'"]}')
    got, answer = service.predict("ocr_system", packed, {"Content-Encoding": "gzip"})
    assert got == 413
    assert service.texts()


def test_chunked_and_gzip_bodies_are_taken(service):
    body = json.dumps({"images": [encoded("line.png")]}).encode()
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    connection = service.connection()
    connection.request(
        "POST", "/predict/ocr_rec", iter([body[:99], body[99:]]), headers, encode_chunked=True
    )
    assert connection.getresponse().status == 200
    assert service.predict("ocr_rec", gzip.compress(body), {"Content-Encoding": "gzip"})[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /predict/ocr_system HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /predict/ocr_system HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{",
    ],
    ids=["head", "body"],
)
def test_slow_clients_are_cut_off_and_hold_nobody_up(service, sent):
    slow = [socket.create_connection(service.address, timeout=20) for _ in range(40)]
    for client in slow:
        client.sendall(sent)
    assert service.texts()  # others are served meanwhile

    def all_ended():
        ended = 0
        for client in slow:
            client.setblocking(False)
            try:
                client.send(b"x")  # a drop now and then does not help
                ended += client.recv(1) == b""
            except BlockingIOError:
                pass
            except OSError:
                ended += 1
        return ended == len(slow)

    service.wait(all_ended)
    assert service.request("GET", "/livez")[0] == 200


def test_stock_status_keeps_stock_answers(start):
    service = start(stock_status="true").ready()
    for body in ({"images": ["a"]}, {"images": [], "x": 1}, b"{"):
        status, answer = service.predict("ocr_system", body)
        assert (status, answer["status"], answer["results"]) == (200, "101", "")
    bad = pictures.unreadable()["text"]
    assert service.predict("ocr_system", {"images": [bad]}) == (
        200,
        {"status": "000", "msg": "", "results": [[]]},
    )
    assert service.predict("nobody", {"images": [bad]})[0] == 200


def test_internal_errors_tell_nothing_of_our_insides(service):
    status, answer = service.predict("stuck", {"fail": "name"})
    assert status == 500 and "secret" not in error(answer)
    service.wait(lambda: any("secret" in str(event) for event in service.events()), 10)


def test_logs_are_json_with_what_a_request_was_about(service):
    headers = {"X-Request-Id": "of-this-test"}
    service.texts(headers=headers)

    def lines():
        return [event for event in service.events() if event.get("id") == "of-this-test"]

    service.wait(lines, 10)  # written when the answer is out, and passed on by Docker
    (line,) = lines()
    assert (
        line["images"] == 1 and line["lines"] == 3 and line["code"] == 200 and line["bytes"] > 1000
    )
    assert {"decode", "detect", "recognize"} <= set(line["seconds"])
    assert encoded("mixed.jpg")[:40] not in service.logs()


def test_metrics_count(service):
    before = service.metric('ppocr_requests_total{code="200",module="ocr_system"}')
    lines = service.metric("ppocr_lines_total")
    service.texts()
    assert service.metric('ppocr_requests_total{code="200",module="ocr_system"}') == before + 1
    assert service.metric("ppocr_lines_total") == lines + 3
    assert service.metric("ppocr_worker_memory_bytes") > 1e8
    service.predict("x" * 50, {"images": []})
    text = service.request("GET", "/metrics")[2].decode()
    assert "xxx" not in text  # clients cannot make up label values
