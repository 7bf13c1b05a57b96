"""Files of a request: from base64 to their bytes, and how large a side a picture may have."""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote

from .report import RequestError

#: Pixels of the longer side of a picture or page; OpenCV's own arithmetic ends about there.
MAX_SIDE = 65_000

_DATA_URL = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")
#: How the files begin that this service reads.
FILES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II", b"MM", b"RIFF", b"GIF8", b"%PDF",
          b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")  # fmt: skip


def from_base64(encoded: object, key: str = "images") -> bytes:
    """The bytes of a file sent under ``key``.

    Read are base64 and its URL-safe kind, with or without line breaks, and ``data:`` URLs of it.
    Padding may be missing where a file comes out that this service reads: else the text is one that
    was cut off.

    Raises:
        RequestError: not base64, or not a string.
    """
    if not isinstance(encoded, str):
        raise RequestError(f"{key}: each image must be a base64 string", "base64")
    try:
        return binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        return _lenient(encoded, key)


def _lenient(text: str, key: str) -> bytes:
    if text[:5].lower() == "data:":
        url = _DATA_URL.match(text)
        if not url or not url[1].lower().endswith(";base64"):
            raise _refusal(key, "a data: URL must be data:<type>;base64,<base64>")
        text = unquote(text[url.end() :])
    text = "".join(text.split()).translate(_URL_SAFE)
    bare = text.rstrip("=")
    try:
        data = binascii.a2b_base64(bare + "=" * (-len(bare) % 4), strict_mode=True)
    except binascii.Error as error:
        raise _refusal(key, str(error).lower()) from error
    except ValueError as error:
        raise _refusal(key, "it has characters that are not ASCII") from error
    if len(bare) % 4 and bare == text and not data.startswith(FILES):
        raise _refusal(key, "incorrect padding: the text was cut off")
    return data


def _refusal(key: str, why: str) -> RequestError:
    return RequestError(f"{key}: not base64: {why}", "base64")
