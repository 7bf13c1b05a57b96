"""Callback plugin: prints after a run why hosts were unreachable, and what to do."""

from __future__ import annotations

from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

from ppocr_control.messages import catalogue

DOCUMENTATION = """
name: ppocr_remedies
type: notification
short_description: Prints remedies for hosts that could not be reached
description: One sentence per cause, with its remedy and the hosts, after the recap.
"""


class CallbackModule(CallbackBase):
    """Collects unreachable hosts by cause during the run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "ppocr_remedies"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display: Any = None) -> None:
        super().__init__(display=display)
        self._hosts: dict[str, list[str]] = {}

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Record the cause for an unreachable host."""
        if found := catalogue.explain(str(result._result.get("msg", "")), "access"):
            hosts = self._hosts.setdefault(found, [])
            if result._host.get_name() not in hosts:
                hosts.append(result._host.get_name())

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the recorded causes."""
        for found, hosts in self._hosts.items():
            names = ", ".join(sorted(hosts))
            self._display.display(f"{names}: {found}.", color=constants.COLOR_ERROR)
