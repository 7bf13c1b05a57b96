"""Steps that import Paddle run in a process of their own, which hands its result back as a file."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

#: Seconds a step may take: PaddleOCR's loaders can hang for ever.
_LIMIT = 3600


def call(step: str, *arguments: str) -> dict[str, Any]:
    """Run a step of :mod:`ppocr_trainer.__main__` and return its result.

    Raises:
        SystemExit: it failed, or took too long; the message has its last lines, or the setting.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "ppocr_trainer", step, str(result), *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_LIMIT,
                errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SystemExit(
                f"{step} has not ended within {_LIMIT} s: the tools' loaders hang where pictures "
                "of trainer_data cannot be used: correct it, or give fewer lines"
            ) from error
        if done.returncode or not result.exists():
            lines = (done.stdout + done.stderr).strip().splitlines()[-12:]
            raise SystemExit(f"{step} failed:\n" + "\n".join(lines))
        found: dict[str, Any] = json.loads(result.read_text())
        return found
