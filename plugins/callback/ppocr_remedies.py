"""Callback plugin: prints after a run why hosts were unreachable, and what to do."""

from __future__ import annotations

import re
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: ppocr_remedies
type: notification
short_description: Prints remedies for hosts that could not be reached
description: One sentence per cause, with its remedy and the hosts, after the recap.
"""

#: A pattern of ssh's output, the cause, the remedy; the first match counts.
_CAUSES = (
    (
        r"IDENTIFICATION HAS CHANGED|[Hh]ost key for \S+ has changed",
        "the key the host shows is not the one known for its address",
        "make sure it is the right host; if it was reinstalled, remove the old key with "
        "ssh-keygen -R ADDRESS and log in once with ssh",
    ),
    (
        r"Host key verification failed|authenticity of host",
        "the host's key is not known here yet",
        "log in once with ssh and compare the key, or accept new keys with "
        "scripts/deploy --accept-new-host-keys",
    ),
    (
        r"Permission denied|Too many authentication failures",
        "the login was refused",
        "correct ansible_user, ansible_ssh_private_key_file or the password (--ask-pass)",
    ),
    (
        r"[Cc]ould not resolve|Name or service not known",
        "the name has no address",
        "correct the name or set ansible_host in the inventory",
    ),
    (
        r"timed out|No route to host|Connection refused|Network is unreachable",
        "nothing answers at the address",
        "check that the host is up and reachable from this machine, ansible_host and ansible_port",
    ),
)


def remedy(output: str) -> str:
    """Return cause and remedy for ssh's output, '' if it is unknown."""
    for pattern, cause, what in _CAUSES:
        if re.search(pattern, output):
            return f"{cause}: {what}"
    return ""


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
        if found := remedy(str(result._result.get("msg", ""))):
            hosts = self._hosts.setdefault(found, [])
            if result._host.get_name() not in hosts:
                hosts.append(result._host.get_name())

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the recorded causes."""
        for found, hosts in self._hosts.items():
            names = ", ".join(sorted(hosts))
            self._display.display(f"{names}: {found}.", color=constants.COLOR_ERROR)
