"""From a request's base64 to the bytes of a file."""

from __future__ import annotations

import base64

from .report import RequestError


def from_base64(encoded: object, key: str = "images") -> bytes:
    """The bytes of a file sent under ``key``.

    Raises:
        RequestError: not base64, or not a string.
    """
    if not isinstance(encoded, str):
        raise RequestError(f"{key}: each image must be a base64 string", "base64")
    try:
        return base64.b64decode(encoded)
    except ValueError as error:
        raise RequestError(f"{key}: not base64: {error}", "base64") from error
