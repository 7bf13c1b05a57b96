"""How much a JSON body may hold, counted in its bytes before anything is made of them.

A body of our contract is a few long strings. Python makes an object of 50 bytes and more of every
value and key: a body of nine million takes gigabytes.
"""

from __future__ import annotations

import json

#: Values and keys, and brackets within brackets; for modules of an operator too.
MOST_VALUES = 10_000
MOST_DEPTH = 64

_STRUCTURE = b'"[]{},:'
_OTHERS = bytes(set(range(256)) - set(_STRUCTURE))


class BodyError(ValueError):
    """The body holds too much; the message is for the client."""


def check(body: bytes) -> None:
    """Look at a body that may be JSON; a parser says whether it is.

    Args:
        body: in UTF-8, UTF-16 or UTF-32, as ``json.loads`` takes it.

    Raises:
        BodyError: more than :data:`MOST_VALUES` values, or deeper than :data:`MOST_DEPTH`.
    """
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        body = body.decode(encoding, "replace").encode("utf-8", "replace")
    if b"\\" in body:  # escaped quotes end no string
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    structure = body.translate(None, _OTHERS)
    too_many = structure.count(b'"') > 2 * MOST_VALUES
    outside = b"" if too_many else b"".join(structure.split(b'"')[::2])
    # Each value but the first has a comma before it.
    if too_many or sum(map(outside.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise BodyError(f"the body has more than {MOST_VALUES} values")
    depth = 0
    for character in outside:
        depth += (character in b"[{") - (character in b"]}")
        if depth > MOST_DEPTH:
            raise BodyError(f"the body is nested more than {MOST_DEPTH} deep")
