"""The edge as it was before an update, until its new settings have proved right.

Its files get a second name, and a container that has to be replaced is set aside. What a killed
run left is put back by the next one.
"""

from __future__ import annotations

import os

from .edge import CANDIDATE, docker, state

#: The last one is the mark that all are kept.
FILES = ("tls.pem", "networks.lst", "refuse.lua", "haproxy.cfg")


class Before:
    """The former state of an edge (ppocr_hosts.edge.Edge)."""

    def __init__(self, edge):
        self._edge = edge
        self._aside = edge.container + "-previous"
        self._files = [(edge.folder / name, edge.folder / (name + ".before")) for name in FILES]

    @property
    def is_kept(self):
        """Whether there is a state to go back to."""
        return self._files[-1][1].exists()

    def keep(self):
        """Keep the state of an edge that has its files; one that is kept already stays."""
        if self.is_kept or not self._files[-1][0].exists():
            return self.is_kept
        for file, before in self._files:
            before.unlink(missing_ok=True)
            if file.exists():  # a version before may have had fewer
                os.link(file, before)
        return True

    def set_aside(self):
        """Stop the container once its requests have been answered, and give its name up."""
        if state(self._edge.container):
            docker("stop", self._edge.container)
            docker("rename", self._edge.container, self._aside)

    def restore(self):
        """Go back to the state that was kept; return whether it is another one."""
        if not self.is_kept:
            return False
        kept = [(file, before) for file, before in self._files if before.exists()]
        changed = any(not before.samefile(file) for file, before in kept)
        for file, before in kept:
            before.replace(file)
        was_aside = bool(state(self._aside))
        self._restore_container(changed, was_aside)
        self._forget_files()  # what did not change still has both names
        return was_aside or changed

    def _restore_container(self, changed, was_aside):
        present = state(self._edge.container)
        if was_aside:
            if present:
                docker("rm", "--force", self._edge.container)
            docker("rename", self._aside, self._edge.container)
            present = "exited"
        if present == "running":
            self._edge.send_candidate("", "")
            if changed:
                self._edge.reload()
        elif present:
            self._edge.write(CANDIDATE, "")
            docker("start", self._edge.container)

    def forget(self):
        """Let the present state be the one that counts; return whether a container went."""
        if not self.is_kept:
            return False
        was_aside = bool(state(self._aside))
        if was_aside:
            docker("rm", "--force", self._aside)
        self._forget_files()
        return was_aside

    def _forget_files(self):
        for _, before in reversed(self._files):
            before.unlink(missing_ok=True)
