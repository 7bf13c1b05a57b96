"""Parts of the front that need no server: unpacking, the encoder, the limit, accepted names."""

import gzip
import json
import zlib

import pytest
from ppocr_serving.server import connection_limit
from ppocr_serving.server.access import Access
from ppocr_serving.server.connection_limit import group_of
from ppocr_serving.server.responses import MESSAGE, capped, encode, failure
from ppocr_serving.server.unpack import PIECE, BodyError, Unpacker, packed

from ppocr_contract.settings import Settings, SettingsError

DATA = bytes(range(256)) * 5000


def unpacked(body, step=1000):
    unpacker, pieces = Unpacker(), []
    for start in range(0, len(body), step):
        pieces += unpacker.feed(body[start : start + step])
    unpacker.end()
    assert all(len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize("step", [1, 7, 1000, 10**6])
def test_gzip_is_unpacked_however_it_comes(step):
    body = gzip.compress(DATA)
    assert unpacked(body, step) == DATA
    assert unpacked(body + body + bytes(9), step) == DATA + DATA
    assert unpacked(b"", step) == b""


def test_a_bomb_comes_in_pieces():
    unpacker = Unpacker()
    assert next(unpacker.feed(gzip.compress(bytes(50_000_000)))) == bytes(PIECE)


@pytest.mark.parametrize(
    "body",
    [gzip.compress(DATA)[:-1], gzip.compress(DATA)[:50], gzip.compress(DATA) + b"x", b"{}",
     zlib.compress(DATA), b"\x1f\x8b", gzip.compress(b"") * 5000],
    ids=range(7),
)  # fmt: skip
def test_what_is_no_gzip(body):
    with pytest.raises(BodyError):
        unpacked(body)


def test_encodings():
    assert packed("gzip") and packed("identity, X-GZIP ,")
    assert not packed("") and not packed("identity")
    for other in ("deflate", "gzip, gzip", "br", "gzip;q=1", "x" * 9000):
        with pytest.raises(BodyError):
            packed(other)


def test_the_encoder_cannot_fail():
    thing = object()
    for value, read in (
        ({"\ud800": "\udfff\ud83d"}, {"?": "??"}),
        ({"x": thing}, {"x": str(thing)}),
        (["\0", "\u2028", "字"], ["\0", "\u2028", "字"]),
        ({1: {2: b"x"}}, {"1": {"2": "b'x'"}}),
    ):
        assert json.loads(encode(value).decode()) == read
    assert encode({"msg": "字"}) == '{"msg":"字"}'.encode()
    assert len(failure("y" * 10**6)["msg"]) < MESSAGE + 50
    assert capped("short") == "short"


class Someone:
    def __init__(self, group, state=connection_limit.IDLE, since=0.0, moved=0):
        self.group, self.state, self.since, self.moved = group, state, since, moved
        self.gone = False

    def evict(self):
        self.gone = True


@pytest.fixture
def now(monkeypatch):
    monkeypatch.setattr(connection_limit.time, "monotonic", lambda: 100.0)


def test_idle_ones_go_first_of_whoever_has_most(now):
    there = [Someone("a", since=n) for n in range(3)] + [
        Someone("b"),
        Someone("c", connection_limit.WORKING),
    ]
    connected = connection_limit.ConnectionLimit(5)
    assert all(connected.admit(one) for one in there)
    assert connected.admit(Someone("b", since=100))
    assert [one.gone for one in there] == [True, False, False, False, False]
    assert len(connected) == 5


def test_who_has_just_come_and_who_works_stays(now):
    connected = connection_limit.ConnectionLimit(2)
    fresh = [Someone("a", since=99.9) for _ in range(2 + connection_limit.SPARE)]
    assert all(connected.admit(one) for one in fresh) and not any(one.gone for one in fresh)
    assert connected.admit(Someone("b", since=100)) and fresh[0].gone  # the very bound
    for one in fresh:
        one.state = connection_limit.WORKING
    assert not connected.serves(fresh[-1])
    assert not any(one.gone for one in fresh[1:])


def test_a_crowd_that_comes_at_once_costs_few_looks_at_everybody(monkeypatch):
    clock, looks = [100.0], []
    monkeypatch.setattr(connection_limit.time, "monotonic", lambda: clock[0])
    look = connection_limit.ConnectionLimit._look_for_idle
    connected = connection_limit.ConnectionLimit(500)

    def counted(self):
        looks.append(self)
        look(self)

    monkeypatch.setattr(connection_limit.ConnectionLimit, "_look_for_idle", counted)
    honest = [Someone("b", since=90) for _ in range(3)]
    assert all(connected.admit(one) for one in honest)
    came = []
    for number in range(3000):
        clock[0] += 0.001
        came.append(Someone("a" if number % 10 else "b", since=clock[0]))
        assert connected.admit(came[-1])
    assert len(looks) < 30
    assert len(connected) <= 500 + connection_limit.SPARE and not came[-1].gone and came[1].gone
    assert not any(one.gone for one in honest)


def test_the_slow_give_way_and_so_does_who_holds_more_than_half(now):
    slow = [
        Someone("a", connection_limit.RECEIVING, 0, 10_000),
        Someone("a", connection_limit.ANSWERING, 99, 0),
    ]
    fast = [Someone("a", connection_limit.RECEIVING, 0, 10**8) for _ in range(2)]
    connected = connection_limit.ConnectionLimit(4)
    newcomers = [
        Someone("a", connection_limit.RECEIVING, 100),
        Someone("b", connection_limit.RECEIVING, 100),
    ]
    for one in (*slow, *fast, *newcomers):
        connected.admit(one)
    assert connected.serves(newcomers[0]) and slow[1].gone
    assert connected.serves(newcomers[1]) and slow[0].gone
    assert not any(one.gone for one in fast)


def test_the_end_waits_for_those_who_still_take_their_answer():
    connected = connection_limit.ConnectionLimit(4)
    taking = Someone("a", connection_limit.ANSWERING)
    for one in (Someone("a"), Someone("b", connection_limit.LEAVING), taking):
        connected.admit(one)
    assert connected.answering
    taking.state = connection_limit.IDLE
    assert not connected.answering


def test_groups():
    assert group_of("10.0.0.1") == group_of("::ffff:10.0.0.1") == "10.0.0.1"
    assert group_of("2001:db8::1") == group_of("2001:db8::2")
    assert group_of("2001:db8::1") != group_of("2001:db8:0:1::1")
    assert group_of("fe80::1%eth0") == "fe80::/64" and group_of("") == ""


def test_names():
    access = Access(Settings(hosts="OCR.example, ::1,192.0.2.7"))
    for host in ("ocr.example", "ocr.example.", "[::1]", "192.0.2.7"):
        assert access.by_accepted_name(host, "192.0.2.1", False)
    for host in ("evil.example", "127.0.0.1", "", "ocr.example.evil"):
        assert not access.by_accepted_name(host, "192.0.2.1", True)
        assert not access.by_accepted_name(host, "127.0.0.1", False)
        assert access.by_accepted_name(host, "::ffff:127.0.0.1", True)
    assert Access(Settings()).by_accepted_name("any", "192.0.2.1", False)
    for wrong in ("http://x", "x:80", "a:80", "a b", "x/y"):
        with pytest.raises(SettingsError, match="without scheme and port.*hubserving_hosts"):
            Settings.from_environment({"PPOCR_HOSTS": wrong})
