"""Which workers are ready: one small file a worker, written by it and read by the front."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from .settings import RUN_DIR

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class Scoreboard:
    """A folder of ``<pid>.json`` files."""

    def __init__(self, folder: Path = RUN_DIR / "workers") -> None:
        self._folder = folder

    def clear(self) -> None:
        """Forget all workers; make the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            path.unlink()

    def enter(self, pid: int, lane: int, modules: dict[str, str]) -> None:
        """This worker takes requests on its lane; ``modules`` says where each one's models are."""
        path = self._folder / f"{pid}.json"
        # Written aside and renamed: the front never reads half of it.
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps({"lane": lane, "modules": modules}))
        aside.rename(path)

    def leave(self, pid: int) -> None:
        """This worker takes none any more."""
        with contextlib.suppress(OSError):
            (self._folder / f"{pid}.json").unlink()

    def ready(self) -> dict[int, dict[str, Any]]:
        """What each worker that is alive entered, by its pid."""
        found = {}
        for path in self._folder.glob("*.json"):
            pid = int(path.stem)
            if not Path(f"/proc/{pid}").exists():
                self.leave(pid)
                continue
            with contextlib.suppress(OSError, ValueError):
                found[pid] = json.loads(path.read_text())
        return found


def resident_bytes(pid: int) -> int:
    """Memory of a process that is its own or shared; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * _PAGE_KB * 1024
