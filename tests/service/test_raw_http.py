"""The service's HTTP from a raw socket: heads, lengths, encodings, deadlines, pipelining.

Whatever is sent: no 5xx but the intended, no worker lost, no memory taken, and a good request
beside it is answered right.
"""

import gzip
import threading
import zlib

import pytest
from honest import GOOD, ROOM, assert_contract, assert_good, front_of, lost, nobody_harmed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import rawhttp
from tests.containers import docker
from tests.rawhttp import Client, ask, post, request

#: 600 MB of zeros.
BOMB = rawhttp.zeros(600)
PATHS = ("/livez", "/readyz", "/metrics", "/", "/nothing", "/predict/ocr_rec", "/predict/none")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Of these tests alone: what it logged and lost is their doing."""
    from conftest import small_service

    with small_service(tmp_path_factory) as own:
        yield own


# Heads


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("length", ["abc", "1e3", "-1", "+5", "0x10", "1, 2", "9" * 30, "1.0", ""])
def test_a_length_that_is_no_number_is_refused(service, path, length):
    sent = request(f"POST {path} HTTP/1.1", f"Content-Length: {length}", body=b"{}")
    reply = ask(service.address, sent)
    assert_contract(reply)
    assert reply.code == 400


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (request("BREW / HTTP/1.1"), 405),
        (request("get /livez HTTP/1.1"), 405),
        (request("FINISH /predict/ocr_rec HTTP/1.1", "Content-Length: 0"), 405),
        (request("TRACE /livez HTTP/1.1"), 405),
        (request("CONNECT ocr:80 HTTP/1.1"), 405),
        (request("OPTIONS * HTTP/1.1"), 404),
        (request("OPTIONS /metrics HTTP/1.1"), 405),
        (request("GET /livez HTTP/2.0"), 400),
        (request("PRI * HTTP/2.0", host=None, body=b"SM\r\n\r\n"), 400),
        (request("GET /livez HTTP/1.11"), 400),
        (request("GET  /livez HTTP/1.1"), 400),
        (request("hello"), 400),
        (request("GET /livez HTTP/1.1", host=None), 400),
        (request("GET /livez HTTP/1.1", "Host: y"), 400),
        (request("GET /livez HTTP/1.1", host="a b"), 400),
        (request("GET /livez HTTP/1.1", "no colon"), 400),
        (request("GET /livez HTTP/1.1", "A: b", " folded"), 400),
        (request("GET /livez HTTP/1.1", "Bad Name: x"), 400),
        (request("GET /livez HTTP/1.1", "X: a\0b"), 400),
        (request("GET /livez?" + "a&" * 3000 + " HTTP/1.1"), 400),
        (request("GET /livez HTTP/1.1", "X: " + "y" * 17_000), 431),
        (request("GET /" + "y" * 17_000 + " HTTP/1.1"), 431),
        (request("GET /livez HTTP/1.1", *(f"X-{n}: y" for n in range(3000))), 431),
        (b"y" * 40_000, 431),
        (request("POST /livez HTTP/1.1", "Transfer-Encoding: gzip", body=b"x"), 400),
        (request("POST / HTTP/1.1", "Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), 400),
        (request("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 5"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 300, 400),
    ],
    ids=range(28),
)  # fmt: skip
def test_heads_that_are_no_http_are_answered(service, sent, code):
    with Client(service.address) as client:
        client.send(sent)
        reply = client.reply(head=False)
        assert_contract(reply)
        assert reply.code == code, reply
        logged = [event for event in service.events() if event.get("code") == code]
        assert logged, "not logged"
        assert all(len(str(event)) < 2000 for event in logged)


def test_tls_to_the_plain_port_is_named(service):
    reply = ask(service.address, b"\x16\x03\x01\x00\xf4\x01" + b"\x01" * 200)
    assert "hubserving_tls_cert" in reply.said["msg"]
    service.wait(lambda: "began with TLS" in service.logs(), 10)


@pytest.mark.parametrize(
    "kind",
    ["x" * 9000, "application/" + "j" * 9000, "text/plain", "multipart/form-data; boundary=x", ""],
    ids=range(5),
)
def test_other_types_are_refused_in_the_contracts_shape(service, kind):
    reply = ask(service.address, post(GOOD, kind=kind))
    assert_contract(reply)
    assert (reply.code, reply.said["status"]) == (415, "112")


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json",
     "application/json; " + "x" * 9000],
)  # fmt: skip
def test_json_by_another_name_is_taken(service, kind):
    reply = ask(service.address, post(GOOD, kind=kind))
    assert reply.code == 200 and reply.said["status"] == "000"


def test_hosts_agents_and_cookies_of_any_size_reach_no_worker(service):
    long = "z" * 4000
    reply = ask(service.address, post(GOOD, f"User-Agent: {long}", f"Cookie: {long}", f"X: {long}"))
    assert reply.code == 200


# Bodies


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n{}\r\n0\r\n\r\n", b"\r\n\r\n", b"-1\r\n\r\n", b"5\r\n{}xxxyy\r\n0\r\n\r\n",
     b"0" * 100 + b"\r\n\r\n", b"2\r\n{}0\r\n\r\n", b"2\r\n{}\r\n0\r\nX: y\r\n\r\n",
     b"2;" + b"e" * 100 + b"\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n"],
    ids=range(9),
)  # fmt: skip
@pytest.mark.parametrize("path", ["/predict/ocr_rec", "/livez", "/nothing"])
def test_chunks_that_are_none_are_refused(service, path, body):
    lines = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    reply = ask(service.address, request(f"POST {path} HTTP/1.1", *lines, body=body))
    assert_contract(reply)
    assert reply.code == 400


def test_encodings(service):
    packed = gzip.compress(GOOD)
    raw = zlib.compressobj(wbits=-15)
    for body, encoding, code in (
        (packed, "gzip", 200),
        (packed, "x-gzip", 200),
        (packed, "GZIP", 200),
        (packed, "identity, gzip", 200),
        (GOOD, "identity", 200),
        (gzip.compress(GOOD[:900]) + gzip.compress(GOOD[900:]), "gzip", 200),
        (packed + bytes(700), "gzip", 200),
        (packed[:-20], "gzip", 400),
        (packed[:-4], "gzip", 400),
        (packed + b"more", "gzip", 400),
        (packed[:100] + b"\0" * 50 + packed[150:], "gzip", 400),
        (GOOD, "gzip", 400),
        (zlib.compress(GOOD), "gzip", 400),
        (gzip.compress(b"") * 6000, "gzip", 400),
        (b"", "gzip", 400),
        (zlib.compress(GOOD), "deflate", 415),
        (raw.compress(GOOD) + raw.flush(), "deflate", 415),
        (gzip.compress(packed), "gzip, gzip", 415),
        (GOOD, "br", 415),
        (GOOD, "gzip\t;q=1", 415),
        (GOOD, "zstd, gzip", 415),
    ):  # fmt: skip
        reply = ask(service.address, post(body, f"Content-Encoding: {encoding}"))
        assert reply.code == code, (encoding, reply)
        if code != 200:
            assert_contract(reply)
    assert lost(service) == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_nothing_unpacks_where_nothing_is_read(service, path, method):
    with nobody_harmed(service):
        head = ("Content-Encoding: gzip", "Content-Type: application/json")
        sent = request(
            f"{method} {path} HTTP/1.1", *head, f"Content-Length: {len(BOMB)}", body=BOMB
        )
        replies = []
        asking = [
            threading.Thread(target=lambda: replies.append(ask(service.address, sent)))
            for _ in range(4)
        ]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
    assert len(replies) == 4
    for reply in replies:
        assert reply.code in (200, 404, 405, 413), reply


def test_what_is_refused_is_not_unpacked(start, tmp_path):
    secret = tmp_path / "tokens"
    secret.write_text("the-token\n")
    secret.chmod(0o444)
    service = start(f"--volume={secret}:/tokens:ro", token_file="/tokens").ready()  # noqa: S106
    headers = {"Authorization": "Bearer the-token"}
    with nobody_harmed(service, headers):
        for head in (
            ("Content-Encoding: gzip",),
            ("Content-Encoding: gzip", "Authorization: Bearer no"),
            ("Content-Encoding: gzip", "Authorization: Basic the-token"),
        ):
            for path in PATHS[2:3] + PATHS[4:]:
                reply = ask(service.address, post(BOMB, *head, path=path))
                assert_contract(reply)
                assert reply.code == 401
        reply = ask(service.address, post(BOMB, *head[:1], "Authorization: Bearer the-token"))
        assert_contract(reply)
        assert reply.code == 413


def test_a_network_that_is_not_allowed_gets_nothing_else(start):
    service = start(allow_networks="192.0.2.0/24")
    service.wait(lambda: "worker ready" in service.logs())
    before = front_of(service)
    for path in PATHS:
        reply = ask(service.address, post(BOMB, "Content-Encoding: gzip", path=path))
        assert_contract(reply)
        assert reply.code == 403
    for sent in (request("BREW / HTTP/1.1"), post(b"", length="abc"), b"y" * 40_000):
        assert ask(service.address, sent).code == 403
    after = front_of(service)
    assert after["pid"] == before["pid"] and after["mb"] < before["mb"] + ROOM


def test_large_bodies_are_answered_before_they_are_sent(service):
    for path in PATHS:
        reply = ask(service.address, post(b"{", path=path, length=10**12))
        assert_contract(reply)
        assert reply.code in (404, 405, 413)
    waiting = post(b"", "Expect: 100-continue", length=5_000_000)
    assert ask(service.address, waiting).code == 413


@pytest.mark.parametrize(
    "body",
    [
        b'{"images": [], "\\ud800": 1}',
        b'{"\\udfff\\ud800": {"\\ud800": ["\\udc00"]}}',
        b'{"images": ["\\ud83d"]}',
        b'{"images": [], "' + "\u0130".encode() * 300_000 + b'": 1}',
        b'{"images": [], "paths": "\\ud800"}',
        b'{"images": [], "x": NaN, "\\u0000": Infinity}',
        b'{"pdfs": [{"data": "\\ud800", "pages": "\\udead"}]}',
        b'{"pdfs": [{"data": "AAAA", "pages": "' + b"9" * 100_000 + b'"}]}',
    ],
    ids=range(8),
)
def test_text_that_cannot_be_written_breaks_no_answer(service, body):
    reply = ask(service.address, post(body, path="/predict/ocr_system"))
    assert reply.headers["content-type"] == "application/json"
    assert 400 <= reply.code < 500 and set(reply.said) == {"status", "msg", "results"}
    assert reply.said["msg"] and len(reply.body) < 30_000


def test_a_body_that_is_no_json_is_named_in_our_words(service):
    for body in (b"{", b"", b"\xff\xfe\x00", b"images=x"):
        reply = ask(service.address, post(body))
        assert_contract(reply)
        assert "browser" not in reply.said["msg"] and "JSON" in reply.said["msg"]


def test_requests_the_front_ends_before_are_told(start):
    service = start(graceful_timeout=1).ready()
    with Client(service.address, timeout=90) as working, Client(service.address) as sending:
        sending.send(post(b"{", length=100))
        working.send(post(b'{"gate": "never"}', path="/predict/stuck"))
        service.wait(lambda: service.metric("ppocr_working_requests") == 1)
        docker("stop", "--time=60", service.name)
        for client in (working, sending):
            reply = client.reply()
            if reply is not None:
                assert_contract(reply)
                assert reply.code == 503
    assert not [event for event in service.events() if event.get("code") == 200]


# Deadlines and pipelines


@pytest.mark.parametrize(
    ("sent", "setting"),
    [
        (b"GET /livez HTTP/1.1\r\nHos", "hubserving_header_timeout"),
        (post(b'{"images"', length=100), "hubserving_body_timeout"),
        (
            request(
                "POST /predict/ocr_rec HTTP/1.1",
                "Content-Type: application/json",
                "Transfer-Encoding: chunked",
                body=b"5\r\n{",
            ),
            "hubserving_body_timeout",
        ),
    ],
)
def test_who_is_too_late_is_told(service, sent, setting):
    with Client(service.address) as client:
        client.send(sent)
        reply = client.reply()
        assert_contract(reply)
        assert reply.code == 408 and setting in reply.said["msg"]
        client.send(b"t: x\r\n\r\n" + request())
        assert client.rest() == []


def test_who_has_asked_nothing_or_is_refused_anyway_is_not_told_of_a_deadline(service):
    with Client(service.address) as silent:
        assert silent.rest() == []
    reply = ask(service.address, post(b"{", path="/nothing", length=9))
    assert_contract(reply)
    assert reply.code == 404


def test_pipelined_requests_are_answered_in_turn(service):
    with Client(service.address) as client:
        client.send(
            post(GOOD) + request() + request("GET /nothing HTTP/1.1") + post(GOOD) + post(b"{")
            + request("GET /livez HTTP/1.1", "Connection: close")
        )  # fmt: skip
        assert [reply.code for reply in client.rest()] == [200, 200, 404, 200, 400, 200]


def test_nothing_behind_a_bad_request_is_believed(service):
    for bad in (
        request("POST / HTTP/1.1", "Content-Length: 4", "Transfer-Encoding: chunked"),
        request("POST /livez HTTP/1.1", "Content-Length: x"),
        request("POST /livez HTTP/1.1", "Transfer-Encoding: chunked", body=b"q\r\n"),
        request("GET /livez HTTP/1.1", "X: " + "y" * 17_000),
    ):
        with Client(service.address) as client:
            client.send(bad + request("GET /metrics HTTP/1.1") + post(GOOD))
            assert [reply.code // 100 for reply in client.rest()] == [4]


# Anything at all

NAMES = st.sampled_from(
    ["Content-Length", "Transfer-Encoding", "Content-Encoding", "Content-Type", "Expect",
     "Connection", "Host", "Authorization", "X-Request-Id", "Range", "If-None-Match", "X"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["0", "2", "00002", "-2", "2,2", "2, 3", "chunked", "Chunked", "gzip", "deflate", "gzip, gzip",
     "identity", "application/json", "text/html", "100-continue", "close", "keep-alive", "upgrade",
     "*", "bytes=0-", "x:1", "[::1]", "a,b", "", "\x7f", "\xe9", "y" * 9000]
) | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=12)  # fmt: skip
METHODS = st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "LOCK", "p"])
TARGETS = st.sampled_from(PATHS) | st.sampled_from(
    ["*", "//livez", "/livez?x=%ff", "http://x/", "."]
)
BODIES = st.sampled_from(
    [b"", b"{}", GOOD, gzip.compress(GOOD), gzip.compress(GOOD)[:99], b"2\r\n{}\r\n0\r\n\r\n",
     b"2\r\n{}\r\n", b"\0" * 70_000]
) | st.binary(max_size=30)  # fmt: skip
INTENDED = {200, 304, 400, 401, 403, 404, 405, 413, 415, 422, 431}


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    method=METHODS,
    target=TARGETS,
    version=st.sampled_from(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/1.2", "HTTP/3.0", ""]),
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=4),
    measured=st.booleans(),
    body=BODIES,
    end=st.sampled_from(["\r\n", "\r\n", "\n"]),
)
def test_no_request_breaks_the_service(
    service, method, target, version, headers, measured, body, end
):
    lines = [f"{method} {target} {version}", "Host: x", *(f"{k}: {v}" for k, v in headers)]
    lines += ["Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}"] * measured
    sent = end.join([*lines, "", ""]).encode("latin-1") + body
    with Client(service.address) as client:
        client.send(sent + request("GET /livez HTTP/1.1", "Connection: close"))
        replies = client.rest({0} if method == "HEAD" else ())
    assert replies or "chunked" in sent.decode("latin-1").lower() or body, sent
    for reply in replies:
        assert reply.code in INTENDED, (sent, reply)
        if reply.code >= 400 and reply.body and reply.code != 422:
            assert_contract(reply)


def test_after_all_that_nothing_was_lost(service):
    assert lost(service) == 0
    assert front_of(service)["mb"] < 400
    assert_good(service)
    assert service.wait(lambda: service.metric("ppocr_buffered_bytes") == 0, 10)
    assert [event["traceback"] for event in service.events() if "traceback" in event] == []
