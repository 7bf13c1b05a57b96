"""The encoder of all responses: JSON in the contract's shape; it cannot fail.

Text that came with a request may hold anything, half a character too, and be of any length.
"""

from __future__ import annotations

import json
from typing import Any

#: Characters of a client's text that are repeated to it, or logged.
ECHO = 200
#: Characters of a message: one picture's fault is a sentence, and a request may have many pictures.
MESSAGE = 8000


def capped(text: object, most: int = ECHO) -> str:
    """Text, cut off behind ``most`` characters."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[:most]}... ({len(whole)} characters)"


def encode(value: Any) -> bytes:
    """JSON in UTF-8, as compact as PaddleHub writes it; what has no place in UTF-8 becomes "?"."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.encode("utf-8", "replace")


def failure(message: str, status: str = "101") -> dict[str, str]:
    """An error in the contract's shape."""
    return {"status": status, "msg": capped(message, MESSAGE), "results": ""}
