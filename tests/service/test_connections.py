"""Connections of clients that take all they can: who keeps a place, and who gives way."""

import contextlib

import pytest
from honest import GOOD, assert_contract, assert_good, nobody_harmed

from tests.rawhttp import Client, ask, post, request


@pytest.mark.full
def test_answers_nobody_takes_hold_nobody_up(start):
    service = start(connections=16, body_timeout=5).ready()
    greedy = [Client(service.address) for _ in range(16)]
    flood = request("GET / HTTP/1.1") * 2000
    for client in greedy:
        client.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while client.socket.send(flood):
                pass
    for _ in range(3):
        assert service.is_ready()  # at once; others when the greedy count as slow
        service.wait(lambda: service.predict("ocr_rec", GOOD)[0] == 200, 30)
    assert service.execute("python", "-m", "ppocr_serving.healthcheck").returncode == 0
    # What stands still is ended by its deadline also where nobody needs its place.
    service.wait(lambda: service.metric("ppocr_connections") <= 1, 150)
    for client in greedy:
        client.socket.close()


def test_idle_connections_give_way(start):
    service = start(connections=32).ready()
    idle = []
    with nobody_harmed(service):
        for number in range(400):
            idle.append(Client(service.address))
            if number % 3 == 0:
                idle[-1].send(b"GET / HT")
            if number % 50 == 0:
                assert service.is_ready()
        assert service.execute("python", "-m", "ppocr_serving.healthcheck").returncode == 0
        service.wait(lambda: service.metric("ppocr_connections") <= 32, 30)
    assert sum(client.closed() for client in idle) >= 400 - 32 - 1
    for client in idle:
        client.socket.close()


def test_dripping_bodies_give_way(start):
    service = start(connections=16, body_timeout=60).ready()
    slow = [Client(service.address) for _ in range(16)]
    for client in slow:
        client.send(post(b"{", length=1_000_000))
    service.wait(service.is_ready, 30)  # health beyond the bound, until they count as slow
    service.wait(lambda: service.request("GET", "/")[0] == 200, 30)
    assert_good(service)
    assert any("too slow" in event["message"] for event in service.events())
    for client in slow:
        client.socket.close()


def test_beyond_the_bound_clients_are_told(start):
    service = start(connections=2, threads=2).ready()
    working = [Client(service.address) for _ in range(2)]
    body = b'{"gate": "go"}'
    head = post(b"", "Expect: 100-continue", path="/predict/stuck", length=len(body))
    for client in working:
        client.send(head)
        assert b" 100 " in client.socket.recv(100)
        client.send(body)
    reply = ask(service.address, post(GOOD))
    assert_contract(reply)
    assert reply.code == 503 and reply.headers["retry-after"] == "1"
    assert ask(service.address, request()).code == 200
    service.open_gate("go")
    for client in working:
        assert client.reply().code == 200
    assert_good(service)
