"""Notices that the container has lost its cards.

In the container toolkit's hook mode a ``systemctl daemon-reload`` on the host takes the cards'
device nodes away from a running container ("Failed to initialize NVML: Unknown Error"). What has
them open runs on, so requests are still answered, but the next worker could not start: the service
says that it is not ready, and the host makes the container anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_NODE = re.compile(r"nvidia(\d+|ctl|-uvm)")


class GpuWatch:
    """Opens the device nodes that were there at the start.

    Args:
        folder: where they are.

    Attributes:
        problem: one sentence with the remedy, empty while all is well.
    """

    def __init__(self, folder: Path = Path("/dev")) -> None:
        self._nodes = sorted(path for path in folder.iterdir() if _NODE.fullmatch(path.name))
        self.problem = ""

    def look(self) -> str:
        """Try every node; return and keep the problem."""
        problem = ""
        for node in self._nodes:
            try:
                os.close(os.open(node, os.O_RDWR))
            except OSError as error:
                problem = (
                    f"the container has lost its GPU ({node}: {error.strerror}), as after a "
                    "systemctl daemon-reload on the host: restart it, as the host's ppocr-gpu "
                    "reconcile does by itself"
                )
                break
        self.problem = problem
        return problem
