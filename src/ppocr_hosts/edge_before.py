"""The edge as it was before an update, until its new settings have passed their test.

Its files get a second name, and a container that has to be replaced is set aside. What a killed
run left is put back by the next one.
"""

from __future__ import annotations

from .edge import CANDIDATE, LISTS, docker, state
from .former_files import FormerFiles

FILES = ("tls.pem", *LISTS, "refuse.lua", "haproxy.cfg")


class Before:
    """The former state of an edge (ppocr_hosts.edge.Edge)."""

    def __init__(self, edge):
        self._edge = edge
        self._aside = edge.container + "-previous"
        self._files = FormerFiles(edge.folder, FILES)

    def keep(self):
        """Keep the state of an edge that has its files; return whether one is kept."""
        if (self._edge.folder / "haproxy.cfg").exists():
            self._files.keep()
        return self._files.are_kept

    def set_aside(self):
        """Stop the container once its requests have been answered, and give its name up."""
        if state(self._edge.container):
            docker("stop", self._edge.container)
            docker("rename", self._edge.container, self._aside)

    def restore(self):
        """Go back to the state that was kept; return whether it is another one."""
        if not self._files.are_kept:
            return False
        changed = self._files.restore()
        was_aside = bool(state(self._aside))
        self._restore_container(changed, was_aside)
        self._files.forget()
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
        if not self._files.are_kept:
            return False
        was_aside = bool(state(self._aside))
        if was_aside:
            docker("rm", "--force", self._aside)
        self._files.forget()
        return was_aside
