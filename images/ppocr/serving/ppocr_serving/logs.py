"""Log lines as JSON objects, one a line, on standard error."""

from __future__ import annotations

import datetime
import json
import logging
import sys

_FIELDS = "fields"


class JsonFormatter(logging.Formatter):
    """time, level, logger and message, then what ``extra={"fields": {...}}`` adds."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.datetime.fromtimestamp(record.created).astimezone()
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


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
