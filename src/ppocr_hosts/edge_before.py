"""The edge as it was before an update, until its new settings have passed their test.

Its files get a second name, and a container that has to be replaced is set aside. What a killed
run left is put back by the next one.
"""

from __future__ import annotations

from .edge import CANDIDATE, LISTS, RuntimeFault, docker, state
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
        """Give the container's name to its successor; until exchange() it serves on."""
        if state(self._edge.container):
            docker("rename", self._edge.container, self._aside)

    def exchange(self, holder=""):
        """Stop the container set aside, and start its successor, which has been created.

        Two containers cannot publish one port, so it is closed in between. Where the successor does
        not start, the other one has the port again. ``holder`` is another container that has it: a
        service without an edge, which its own role starts again.
        """
        served = state(self._aside) == "running"
        if served:
            docker("stop", self._aside)
        if holder:
            docker("stop", holder)
        try:
            docker("start", self._edge.container)
            self._edge.wait()
        except RuntimeFault:
            if served:
                docker("rm", "--force", self._edge.container)
                docker("start", self._aside)
            raise

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
        if was_aside:
            if state(self._edge.container):
                docker("rm", "--force", self._edge.container)
            docker("rename", self._aside, self._edge.container)
        present = state(self._edge.container)
        if present == "running":
            self._edge.send_candidate("", "")
            if changed:
                self._edge.reload()
        elif present == "created":  # it was to take the port of a container that may still have it
            docker("rm", "--force", self._edge.container)
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
