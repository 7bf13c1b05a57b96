"""Going on after broken links."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import LinkLost
from ..progress import Progress

#: Tries after the first when the link breaks, and seconds before each.
RETRIES, _PAUSE = 4, 3.0


def despite_lost_links(work: Callable[[], None], progress: Progress) -> None:
    """Do the work, again where the link breaks; it has to go on where it ended.

    Raises:
        LinkLost: it broke too often.
    """
    for attempt in range(RETRIES + 1):
        try:
            return work()
        except LinkLost as error:
            if attempt == RETRIES:
                raise
            progress.say(f"{error}; trying again")
            time.sleep(_PAUSE * (attempt + 1))
