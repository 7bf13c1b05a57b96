"""Files of a folder as they were before an update, until the update is final.

Each gets a second name beside it, and a mark says that all of them have one. What a killed run
left is put back by the next one, however often it is cut off.
"""

from __future__ import annotations

import os
from pathlib import Path


class FormerFiles:
    """The former state of files that are written by a rename, as Ansible does."""

    def __init__(self, folder, names):
        self._mark = Path(folder) / "kept.before"
        self._files = [(Path(folder) / name, Path(folder) / (name + ".before")) for name in names]

    @property
    def are_kept(self):
        """Whether there is a state to go back to."""
        return self._mark.exists()

    def keep(self):
        """Keep the files as they are; a state that is kept already stays."""
        if self.are_kept:
            return
        for file, before in self._files:
            before.unlink(missing_ok=True)
            if file.exists():
                os.link(file, before)
        self._mark.touch()

    def restore(self):
        """Go back to the state that was kept; return whether it is another one."""
        if not self.are_kept:
            return False
        changed = [pair for pair in self._files if not _same(*pair)]
        for file, before in changed:
            if before.exists():
                new = file.with_name(file.name + ".new")
                new.unlink(missing_ok=True)
                os.link(before, new)
                new.replace(file)
            else:
                file.unlink()
        return bool(changed)

    def forget(self):
        """Let the present state be the one that counts."""
        if self.are_kept:
            self._mark.unlink()
            for _, before in self._files:
                before.unlink(missing_ok=True)


def _same(file, before):
    there = file.exists(), before.exists()
    return file.samefile(before) if all(there) else not any(there)
