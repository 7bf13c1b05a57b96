"""Why sudo refused, from its English messages: callers run it with LC_ALL=C."""

from __future__ import annotations

from ..messages.catalogue import Entry, entries, find

#: Makes a command print English, whatever language the host's users have.
ENGLISH = "env LC_ALL=C LANGUAGE="
MISSING, TERMINAL, _PASSWORD = "sudo-missing", "sudo-terminal", "sudo-password"


def refusal(output: str, has_password: bool = False) -> Entry | None:
    """Return the entry of category become for the cause, or None if the output shows none.

    Args:
        output: what sudo printed.
        has_password: whether sudo was given a password.
    """
    found = find(output, "become")
    # What it wanted a terminal for is a password, unless it has one.
    if found and found.id == _PASSWORD and has_password and "a terminal is required" in output:
        found = next(entry for entry in entries("become") if entry.id == TERMINAL)
    return found
