"""Log lines as JSON objects, one a line, on standard error, none longer than it may be.

Here alone texts are capped: what is logged may come from a request, and a request may send 64 MB.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any

_FIELDS = "fields"
#: Characters of a text in a log line; of a traceback, whose end says most; entries of a list.
_MOST = 2000
_TRACEBACK = 8000
_ENTRIES = 50


def shortened(text: str, most: int = _MOST) -> str:
    """The text, its middle left out where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} [... {len(text) - 2 * half} characters ...] {text[-half:]}"


def _bounded(value: Any) -> Any:
    """A field of a log line, with every text in it capped."""
    if isinstance(value, dict):
        return {shortened(str(k)): _bounded(v) for k, v in list(value.items())[:_ENTRIES]}
    if isinstance(value, list | tuple | set | frozenset):
        return [_bounded(entry) for entry in list(value)[:_ENTRIES]]
    if value is None or isinstance(value, bool | int | float):
        return value
    return shortened(str(value))


class JsonFormatter(logging.Formatter):
    """time, level, logger and message, then what ``extra={"fields": {...}}`` adds."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.datetime.fromtimestamp(record.created).astimezone()
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": shortened(record.getMessage()),
            **_bounded(getattr(record, _FIELDS, {})),
        }
        if record.exc_info:
            line["traceback"] = shortened(self.formatException(record.exc_info), _TRACEBACK)
        text = json.dumps(line, ensure_ascii=False)
        # Half a surrogate pair, as JSON may hold, is no character a stream could write.
        return text.encode("utf-8", "backslashreplace").decode()


def set_up() -> None:
    """Send everything that is logged in this process through the formatter."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # By name: importing paddle sets the root logger back to WARNING.
    logging.getLogger(__package__).setLevel(logging.INFO)


def event(log: logging.Logger, message: str, level: int = logging.INFO, **fields: object) -> None:
    """Log a message with fields of its own."""
    log.log(level, message, extra={_FIELDS: fields})
