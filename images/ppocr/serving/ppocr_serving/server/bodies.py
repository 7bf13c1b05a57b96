"""Limits on values and depth of a JSON body, counted in its bytes before it is parsed.

A body of our contract is a few long strings. Python makes an object of 50 bytes and more of every
value and key: a body of nine million takes gigabytes. The front counts while a body comes in, at
two gigabytes a second.
"""

from __future__ import annotations

import codecs
import json

#: Values and keys, and brackets within brackets; for modules of an operator too.
MOST_VALUES = 10_000
MOST_DEPTH = 64

_STRUCTURE = b'"[]{},:'
_OTHERS = bytes(set(range(256)) - set(_STRUCTURE))
_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OPENING = b"[{"
_TELLING = 4  # bytes that show the encoding


class BodyError(ValueError):
    """A body that is not what it should be; the message is for the client."""


class Structure:
    """Counts values and depth of a body that arrives in parts; a parser decides if it is JSON.

    The body is in UTF-8, UTF-16 or UTF-32, as ``json.loads`` takes it.
    """

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = None
        self._encoding = ""
        self._rest = b""  # of the body, not yet looked at
        self._escape = b""  # a backslash whose character is in the next part
        self._in_string = 0
        self._quotes = self._values = self._depth = 0

    def feed(self, part: bytes) -> None:
        """Count the next part.

        Raises:
            BodyError: more than :data:`MOST_VALUES` values, deeper than :data:`MOST_DEPTH`, or
                more brackets closed than opened.
        """
        part, self._rest = self._rest + part, b""
        if not self._encoding:
            if len(part) < _TELLING:
                self._rest = part
                return
            self._encoding = json.detect_encoding(part)
            if not self._encoding.startswith("utf-8"):
                self._decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        if self._decoder is not None:
            part = self._decoder.decode(part).encode("utf-8", "replace")
        self._count(part)

    def _count(self, part: bytes) -> None:
        part, self._escape = self._escape + part, b""
        if b"\\" in part:  # escaped quotes end no string
            if (len(part) - len(part.rstrip(b"\\"))) % 2:
                part, self._escape = part[:-1], b"\\"
            part = part.replace(rb"\\", b"").replace(rb"\"", b"")
        structure = part.translate(None, _OTHERS)
        quotes = structure.count(b'"')
        self._quotes += quotes
        self._check_values(self._quotes // 2)
        outside = b"".join(structure.split(b'"')[self._in_string :: 2])
        self._in_string ^= quotes & 1
        # Each value but the first has a comma before it.
        self._values += sum(map(outside.count, (b",", b"[", b"{")))
        self._check_values(self._values)
        for bracket in outside.translate(None, _BRACKETS):
            self._depth += 1 if bracket in _OPENING else -1
            if self._depth > MOST_DEPTH:
                raise BodyError(f"the body is nested more than {MOST_DEPTH} deep")
            if self._depth < 0:
                raise BodyError("the body is not JSON: it closes more brackets than it opens")

    @staticmethod
    def _check_values(count: int) -> None:
        if count > MOST_VALUES:
            raise BodyError(f"the body has more than {MOST_VALUES} values")
