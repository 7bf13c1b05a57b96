"""Which workers are ready: a folder per worker, made by it and read by the front.

What a folder says are the targets of symbolic links: a tmpfs keeps short ones without taking a
block, so a worker can enter itself even where there is no space left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from ppocr_contract.settings import RUN_DIR

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
_SLOT, _MODULE = "slot", "module."
_ENDED, _LOST = ".ended", ".lost"


class WorkerRegistry:
    """A folder of ``<pid>`` folders; that of a worker that is gone is renamed until it was counted:
    ``<pid>.ended`` where it ended in good order, ``<pid>.lost`` where it did not."""

    def __init__(self, folder: Path = RUN_DIR / "workers") -> None:
        self._folder = folder

    def clear(self) -> None:
        """Forget all workers; make the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)

    def enter(self, pid: int, slot: int, modules: dict[str, str]) -> None:
        """This worker takes requests on its slot; ``modules`` says where each one's models are."""
        # Made aside and renamed: the front never reads half of it.
        aside = self._folder / f"{pid}.new"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        (aside / _SLOT).symlink_to(str(slot))
        for name, device in modules.items():
            (aside / f"{_MODULE}{name}").symlink_to(f"={device}")  # a target may not be empty
        aside.rename(self._folder / str(pid))

    def leave(self, pid: int) -> None:
        """This worker takes none any more, and was not asked to end."""
        self._rename(pid, _LOST)

    def mark_leaving(self, pid: int) -> None:
        """This worker ends in good order, unless it left before."""
        self._rename(pid, _ENDED)

    def _rename(self, pid: int, suffix: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / str(pid)).rename(self._folder / f"{pid}{suffix}")

    def gone(self) -> dict[int, bool]:
        """Workers that are gone since the last call, and whether each ended in good order."""
        gone = {}
        for path in [*self._folder.iterdir()]:
            if path.suffix in (_ENDED, _LOST):
                gone[int(path.stem)] = path.suffix == _ENDED
                shutil.rmtree(path, ignore_errors=True)
        return gone

    def ready(self) -> dict[int, dict[str, Any]]:
        """The entry of each live worker, by its pid."""
        found = {}
        for path in [*self._folder.iterdir()]:
            if not path.name.isdigit():
                continue
            pid = int(path.name)
            if not Path(f"/proc/{pid}").exists():
                self.leave(pid)
                continue
            with contextlib.suppress(OSError, ValueError):
                found[pid] = _read(path)
        return found


def _read(folder: Path) -> dict[str, Any]:
    said = {path.name: str(path.readlink()) for path in folder.iterdir()}
    slot = int(said.pop(_SLOT, ""))
    return {
        "slot": slot,
        "modules": {key.removeprefix(_MODULE): value[1:] for key, value in sorted(said.items())},
    }


def resident_bytes(pid: int) -> int:
    """Memory of a process that is its own or shared; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * _PAGE_KB * 1024
