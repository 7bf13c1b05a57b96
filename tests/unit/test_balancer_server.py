"""How a drained host is kept in HAProxy's configuration."""

from __future__ import annotations

from role_code import load

MODULE = load("plugins/modules/balancer_server.py")
TEXT = """backend ppocr
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host balancer
    server ocr1 192.0.2.1:8866
    server ocr10 192.0.2.10:8866 ssl verify required ca-file /etc/ppocr-balancer/backends.pem
"""


def test_a_mark_is_for_one_host_and_can_be_taken_back() -> None:
    drained = MODULE.with_marks(TEXT, {"ocr1"}, out=True)
    assert drained == TEXT.replace("192.0.2.1:8866\n", "192.0.2.1:8866 disabled\n")
    assert MODULE.marked(drained) == {"ocr1"} and MODULE.marked(TEXT) == set()
    assert MODULE.with_marks(drained, {"ocr1"}, out=True) == drained
    both = MODULE.with_marks(drained, {"ocr10"}, out=True)
    assert MODULE.marked(both) == {"ocr1", "ocr10"}
    assert MODULE.with_marks(both, {"ocr1", "ocr10"}, out=False) == TEXT
