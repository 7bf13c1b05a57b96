"""Files of a request: from base64 to their bytes, and how large a side a picture may have."""

from __future__ import annotations

import base64

from .report import RequestError

#: Pixels of the longer side of a picture or page; OpenCV's own arithmetic ends about there.
MAX_SIDE = 65_000


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
