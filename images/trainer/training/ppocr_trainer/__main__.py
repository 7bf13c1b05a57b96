"""The entry of the trainer image: ``check``, ``train``, ``export``; each prints a report as JSON.

``rehearse``, ``prove`` and ``measure`` are the steps that import Paddle; :mod:`.child` calls them.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import child, record
from .places import given, job, places, write_json


def _check() -> int:
    told = child.call("rehearse")
    print(json.dumps(told))
    return 1 if told["refused"] else 0


def _train() -> int:
    from .training import Training

    record.begin(given())
    Training(job(), places()).run()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pause()
    return 0


def _export() -> int:
    from .export import export

    told = export(job(), places()).as_dict()
    print(json.dumps(told))
    return 1 if told["refused"] else 0


def _rehearse() -> dict[str, Any]:
    from .rehearsal import rehearse

    return rehearse(job(), places()).as_dict()


def _prove(checkpoint: str, exported: str) -> dict[str, Any]:
    from .proof import Refused, prove

    try:
        return prove(job(), places(), Path(checkpoint), Path(exported))
    except Refused as error:
        return {"refused": str(error)}


def _measure(checkpoint: str) -> dict[str, Any]:
    from .proof import measure

    return measure(job(), places(), Path(checkpoint), job().general_labels)


_COMMANDS: dict[str, Callable[[], int]] = {"check": _check, "train": _train, "export": _export}
_STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    "rehearse": _rehearse,
    "prove": _prove,
    "measure": _measure,
}


def main() -> int:
    """Run the command line; return the exit status."""
    command, *arguments = sys.argv[1:] or [""]
    if command in _STEPS:
        write_json(Path(arguments[0]), _STEPS[command](*arguments[1:]))
        return 0
    if command not in _COMMANDS:
        sys.exit(f"usage: ppocr_trainer {'|'.join(_COMMANDS)}")
    return _COMMANDS[command]()


sys.exit(main())
