"""PaddleHub's own log, through this process's logging instead of a file that grows.

PaddleHub Serving writes to ``HUB_HOME/log``, a traceback for each request that fails, and its
``hub`` command too: as a program, this module is that command without the file.
"""

from __future__ import annotations

import logging
import sys

from . import logs
from .report import RequestError


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Whether to log a record: errors of clients are answered, not logged."""
    return not isinstance(sys.exc_info()[1], RequestError)


def take_over(level: int = logging.WARNING) -> None:
    """To be called before PaddleHub makes its app: it asks for its log file then."""
    from paddlehub.utils import log as hub

    logger: logging.Logger = hub.logger.logger
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(level)
    logger.addFilter(_worth_a_line)
    # Python's own, which takes what Flask gives it; PaddleHub's knows no exc_info.
    hub.get_file_logger = lambda filename: logger


def main() -> None:
    """The ``hub`` command."""
    logs.set_up()
    take_over(logging.INFO)
    from paddlehub.commands.utils import execute

    sys.exit(execute())


if __name__ == "__main__":
    main()
