"""The contract of PaddleOCR's deploy/pdserving: request and answer of Paddle Serving's pipeline.

Read from PaddleOCR's web_service.py and pipeline_http_client.py and from Paddle Serving 0.9.0 (the
messages Request and Response of gateway.proto, CustomExceptionCode). A request has two lists,
``key`` and ``value``; an answer has ``err_no``, ``err_msg``, two such lists, and no tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: The path of web_service.py: its service is called ocr, and clients call the method prediction.
PATH = "/ocr/prediction"
#: The module that reads for it.
MODULE = "ocr_system"

_PICTURE, _LINES = "image", "result"
#: Fields of Request. What identifies a client is taken, and not used.
_FIELDS = {"key", "value", "tensors", "name", "method", "logid", "clientip"}
_INPUT, _CLOSED, _TIMEOUT, _UNKNOWN = 5000, 3001, 6000, 10000
_NUMBERS = {408: _TIMEOUT, 503: _CLOSED, 504: _TIMEOUT}


class RequestFault(ValueError):
    """A request that is none of this contract; the message is for the client."""


def picture(body: Mapping[str, Any]) -> str:
    """The picture of a request, in base64.

    Raises:
        RequestFault: a field Request does not have, lists that do not fit each other, tensors, or
            another number of pictures than one, which is all web_service.py reads.
    """
    if unknown := sorted(set(body) - _FIELDS):
        names = ", ".join(name[:40] for name in unknown)
        raise RequestFault(f"unknown field {names}: a request has key and value")
    if body.get("tensors"):
        raise RequestFault("tensors are not read: send the picture in base64, with key and value")
    keys, values = _texts(body, "key"), _texts(body, "value")
    if len(keys) != len(values):
        raise RequestFault(f"key has {len(keys)} entries and value {len(values)}")
    pictures = [value for key, value in zip(keys, values, strict=True) if key == _PICTURE]
    if len(pictures) != 1:
        raise RequestFault(
            f'{len(pictures)} entries of key are "{_PICTURE}": a request has one picture; send '
            "several to /predict/ocr_system, or one after the other"
        )
    return pictures[0]


def _texts(body: Mapping[str, Any], field: str) -> list[str]:
    texts = body.get(field) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RequestFault(f"{field} must be a list of texts")
    return texts


def number(status: int) -> int:
    """The ``err_no`` for an HTTP status."""
    if status < 400:
        return 0
    return _NUMBERS.get(status, _INPUT if status < 500 else _UNKNOWN)


def failure(message: str, status: int) -> dict[str, Any]:
    """The answer for an error with this HTTP status."""
    return _answer(number(status), message)


def answer(lines: Iterable[Mapping[str, Any]], note: str = "") -> dict[str, Any]:
    """The answer for the lines of a picture, as ocr_system gives them.

    Its value is text that clients evaluate as Python: a list of ``[(text, confidence), box]``, with
    four corners as floats for a box.
    """
    read = [
        [
            (line["text"], line["confidence"]),
            [[float(x), float(y)] for x, y in line["text_region"]],
        ]
        for line in lines
    ]
    return _answer(0, note, {_LINES: str(read)})


def _answer(err_no: int, err_msg: str, values: Mapping[str, str] | None = None) -> dict[str, Any]:
    values = values or {}
    return {
        "err_no": err_no,
        "err_msg": err_msg,
        "key": list(values),
        "value": list(values.values()),
        "tensors": [],
    }
