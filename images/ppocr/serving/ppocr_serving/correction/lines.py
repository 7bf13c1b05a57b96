"""Findings in lines that were read from a picture, by the recogniser's own second choices."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ppocr_contract.config import TEXT_MODULE, load

from ..checks import config_file
from ..report import RequestError, stage
from ..runtime import corrector
from ..threads import Threads

if TYPE_CHECKING:
    from ..pipeline.system import Line


@functools.cache
def _served() -> bool:
    return TEXT_MODULE in load(config_file()).modules


def require() -> None:
    """Check that the service has text correction.

    Raises:
        RequestError: it does not serve the module.
    """
    if not _served():
        raise RequestError(
            f"options: text_correction: this service has none: {TEXT_MODULE} is not in its "
            "hubserving_modules",
            "options",
        )


def of_lines(
    lines: Sequence[Line], gain: float, threads: Threads
) -> list[list[list[dict[str, str]]]]:
    """The findings of each line, as the contract has them.

    Args:
        gain: as in :meth:`~ppocr_serving.correction.corrector.Corrector.findings`.
    """
    # Not asked for on an inference thread: whoever loads a model waits for one of these.
    loaded = corrector()

    def found(line: Line) -> list[list[dict[str, str]]]:
        with stage("correct"):
            # Where a text is not its characters one by one, nobody knows which choices are whose.
            choices = line.choices if len(line.choices) == len(line.text) else None
            return [each.answered() for each in loaded.findings(line.text, gain, choices)]

    return threads.map(found, lines)
