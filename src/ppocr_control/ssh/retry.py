"""Retries after the connection to a host broke."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import LinkLost
from ..progress import Progress

#: Retries after a broken connection, and seconds before the first; each pause is longer by as much.
RETRIES, _PAUSE = 4, 3.0
_Result = TypeVar("_Result")


def retry(work: Callable[[], _Result], progress: Progress) -> _Result:
    """Call ``work``, and again when the connection breaks; each call has to resume the last one.

    Raises:
        LinkLost: the connection broke too often.
    """
    for attempt in range(RETRIES):
        try:
            return work()
        except LinkLost as error:
            progress.say(f"{error}; trying again")
            time.sleep(_PAUSE * (attempt + 1))
    return work()
