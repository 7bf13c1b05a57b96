"""Where a run lies in the container: all of it read-only but its own folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ppocr_training.job import Job, Places

ROOT = Path("/training")
#: The run's own folder: what it writes, and what outlives it.
RUN = ROOT / "run"
OUTPUT = RUN / "output"
KEPT = RUN / "kept"
EXPORT = RUN / "export"
STATUS = RUN / "status.json"
RECORD = RUN / "run.json"


def _if_there(path: Path) -> Path | None:
    return path if path.exists() else None


def places() -> Places:
    """Where the role has put the files of this run."""
    return Places(
        ROOT / "source",
        ROOT / "data",
        _if_there(ROOT / "dictionary.txt"),
        _if_there(ROOT / "weights.pdparams"),
    )


def given() -> dict[str, Any]:
    """What the role wrote: the job, and sums of the files."""
    values: dict[str, Any] = json.loads((ROOT / "job.json").read_text(encoding="utf-8"))
    return values


def job() -> Job:
    return Job.from_dict(given())


def write_json(path: Path, value: Any) -> None:
    """Write a file that is whole whenever it is read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
