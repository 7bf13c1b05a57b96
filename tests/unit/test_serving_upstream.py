"""The way from the front to a worker: what is an answer, what another worker is asked for."""

import asyncio
import contextlib
import json
from unittest.mock import MagicMock

import pytest
from ppocr_serving.server import upstream
from ppocr_serving.server.worker_slots import WorkerSlots

from ppocr_contract.settings import Settings

BODY = b'{"status":"000","msg":"","results":[]}'
REPORT = b'X-Ppocr-Report: {"pid": 7}'


def answer(body=BODY, size=None, report=REPORT, status=b"200 OK"):
    size = len(body) if size is None else size
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % size, *([report] if report else [])]
    return b"\r\n".join([*head, b"", body])


def ask(tmp_path, monkeypatch, *workers, after=None, **settings):
    """Ask once; each worker is a list of what it sends before it closes, one per connection.

    Returns how many connections each had, and the answer or the exception.
    """
    monkeypatch.setattr(upstream, "socket_of", lambda slot: tmp_path / f"{slot}.sock")
    asked = [0] * len(workers)

    async def main():
        slots = WorkerSlots(len(workers))
        slots.ready = set(range(len(workers)))

        def serve(slot):
            async def connected(reader, writer):
                asked[slot] += 1
                with contextlib.closing(writer):
                    await reader.readuntil(b"\r\n\r\n")
                    said = workers[slot][min(asked[slot], len(workers[slot])) - 1]
                    if said is None:  # hangs
                        await asyncio.sleep(600)
                    writer.write(said)

            return connected

        servers = [
            await asyncio.start_unix_server(serve(slot), tmp_path / f"{slot}.sock")
            for slot in range(len(workers))
        ]
        given = Settings(workers=len(workers), **settings)
        way = upstream.Upstream(slots, given, MagicMock(), lambda: True)
        asking = way.ask("/predict/x", [b"{}"], {}, lambda: None)
        try:
            if after is not None:
                while not sum(asked):
                    await asyncio.sleep(0.01)
                await after(way, slots)
            return await asking
        except Exception as error:
            return error
        finally:
            for server in servers:
                server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)  # what they closed is closed in the next turn

    return asked, asyncio.run(main())


def test_a_whole_answer(tmp_path, monkeypatch):
    asked, given = ask(tmp_path, monkeypatch, [answer()])
    assert (asked, given.code, given.body, given.report) == ([1], 200, BODY, {"pid": 7})


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        answer()[:-1],
        answer(b"", 5),
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Ppocr-Report: {\r\n\r\n",
        b"X: " + b"y" * (2 << 20) + b"\r\n\r\n",
    ],
    ids=range(9),
)
def test_what_is_not_whole_is_no_answer(tmp_path, monkeypatch, cut):
    asked, given = ask(tmp_path, monkeypatch, [cut, answer()])
    assert (asked, given.body) == ([2], BODY)
    asked, given = ask(tmp_path, monkeypatch, [cut])
    assert asked == [3] and isinstance(given, upstream.WorkerLost)


@pytest.mark.parametrize(("status", "code"), [(b"431 X", 431), (b"500 X", 500), (b"200 OK", 500)])
def test_gunicorns_own_pages_get_the_contracts_shape(tmp_path, monkeypatch, status, code):
    page = answer(b"<html></html>", report=None, status=status)
    _, given = ask(tmp_path, monkeypatch, [page])
    assert given.code == code and given.content_type == "application/json"
    assert set(json.loads(given.body)) == {"status", "msg", "results"}


def test_a_worker_that_never_took_the_request_is_not_lost_on_it(tmp_path, monkeypatch):
    """Of two workers one has gone: again and again the other is asked, until it answers."""

    async def gone(way, slots):
        slots.ready = {1}

    # It loses two workers besides, and still has a third.
    asked, given = ask(tmp_path, monkeypatch, [None], [b"", b"", answer()], after=gone)
    assert (asked, given.body) == ([1, 3], BODY)


def test_a_request_that_lost_a_worker_is_asked_of_another_one(tmp_path, monkeypatch):
    """Whose end may not be known yet: asked again, the same slot would keep it waiting."""
    asked, given = ask(tmp_path, monkeypatch, [b"", None], [answer()])
    assert (asked, given.body) == ([1, 1], BODY)


def test_a_request_loses_three_workers_at_most(tmp_path, monkeypatch):
    asked, given = ask(tmp_path, monkeypatch, [b""], [b""])
    assert sum(asked) == 3 and isinstance(given, upstream.WorkerLost)


def test_a_client_that_leaves_is_no_end_of_the_service(tmp_path, monkeypatch):
    async def leaves(way, slots):
        done = []
        other = way.ask("/predict/x", [b"{}"], {}, lambda: done.append(True))
        await asyncio.sleep(0)
        other.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await other
        assert other.cancelled()

    _, given = ask(tmp_path, monkeypatch, [answer()], after=leaves)
    assert given.body == BODY


@pytest.mark.parametrize("begun", [False, True])
def test_a_body_is_kept_for_as_long_as_a_worker_has_it(tmp_path, monkeypatch, begun):
    """Its bytes are released then, and not when the client leaves."""

    async def leaves(way, slots):
        done = []
        other = way.ask("/predict/x", [b"{}"], {}, lambda: done.append(True))
        if begun:
            while way._free._value > 6:
                await asyncio.sleep(0)
        other.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert bool(done) is not begun
        while not done:
            await asyncio.sleep(0.01)

    ask(tmp_path, monkeypatch, [None], [None], after=leaves, threads=4, timeout=1)
