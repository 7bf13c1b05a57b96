"""HTTP by hand: requests no client library would send, and answers read as they come."""

import json
import socket
import zlib
from typing import NamedTuple


class Reply(NamedTuple):
    """One answer: HTTP status, headers (names in lower case), body."""

    code: int
    headers: dict
    body: bytes

    @property
    def said(self):
        return json.loads(self.body)


def request(line="GET /livez HTTP/1.1", *headers, body=b"", host="x"):
    """The bytes of a request."""
    given = [f"Host: {host}"] if host is not None else []
    return "\r\n".join([line, *given, *headers, "", ""]).encode("latin-1") + body


def post(body, *headers, path="/predict/ocr_rec", kind="application/json", length=None):
    """A POST; ``length`` is its Content-Length, where that is not to be the right one."""
    length = len(body) if length is None else length
    lines = [f"Content-Type: {kind}", f"Content-Length: {length}", *headers]
    return request(f"POST {path} HTTP/1.1", *lines, body=body)


def chunked(*chunks):
    """Chunks as they are sent."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def parse(data, heads=()):
    """All answers in ``data``; the numbers in ``heads`` answer HEAD.

    Raises:
        ValueError: what is there is no whole answer.
    """
    replies = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        if not end:
            raise ValueError(f"half a head: {head[:300]!r}")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            key.lower(): value.strip() for key, _, value in (x.partition(":") for x in lines)
        }
        code = int(status.split()[1])
        if code == 100:
            continue
        size = 0 if len(replies) in heads or code == 304 else int(headers["content-length"])
        if len(data) < size:
            raise ValueError(f"half a body: {len(data)} of {size} bytes")
        replies.append(Reply(code, headers, data[:size]))
        data = data[size:]
    return replies


class Client:
    """A connection.

    Args:
        address: host and port.
        timeout: seconds to wait for bytes.
        source: address to come from.
    """

    def __init__(self, address, timeout=30, source=None):
        bound = (source, 0) if source else None
        self.socket = socket.create_connection(address, timeout, bound)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Send; a server that has closed is no fault here. Returns whether all went out."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def reply(self, head=False):
        """The next answer; None where the server closed without one."""
        data = b""
        while True:
            try:
                replies = parse(data, {0} if head else ())
                if replies:
                    return replies[0]
            except ValueError:
                pass
            part = self._more()
            if not part:
                assert not data, f"the server closed in the middle of an answer: {data[:300]!r}"
                return None
            data += part

    def rest(self, heads=()):
        """All answers until the server closes; a HEAD it could not read has a body like others."""
        data = b""
        while part := self._more():
            data += part
        try:
            return parse(data, heads)
        except ValueError:
            return parse(data)

    def _more(self):
        try:
            return self.socket.recv(1 << 16)
        except ConnectionError:
            return b""

    def closed(self):
        """Whether the server has closed; what it sent before is thrown away."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(1 << 16):
                pass
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


def ask(address, data, timeout=30, source=None):
    """The first answer to some bytes; None where the server closed without one."""
    with Client(address, timeout, source) as client:
        client.send(data)
        return client.reply()


def zeros(megabytes):
    """A gzip of so many megabytes of zeros: a thousandth of that, made in a moment."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(10_000_000)
    start = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)  # the same each time
    count = megabytes // 10
    check = 0
    for _ in range(count):
        check = zlib.crc32(block, check)
    size = (count * len(block)) & 0xFFFFFFFF
    end = b"\x03\x00" + check.to_bytes(4, "little") + size.to_bytes(4, "little")
    return start + again * (count - 1) + end
