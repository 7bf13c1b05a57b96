"""Why sudo refused, from its English messages: callers run it with LC_ALL=C."""

from __future__ import annotations

MISSING, WRONG_PASSWORD, NOT_ALLOWED, TERMINAL, PASSWORD = (
    "missing", "wrong password", "not allowed", "terminal", "password",
)  # fmt: skip

#: Makes a command print English, whatever language the host's users have.
ENGLISH = "env LC_ALL=C LANGUAGE="


def refusal(output: str, has_password: bool = False) -> str:
    """Return one of the causes above, or '' if the output shows none of them.

    Args:
        output: what sudo printed.
        has_password: whether sudo was given a password.
    """
    text = output.lower()
    if "not found" in text or "no such file" in text:
        return MISSING
    if ("incorrect" in text and "password" in text) or "try again" in text:
        return WRONG_PASSWORD
    if "not in the sudoers" in text or "not allowed" in text or "may not run" in text:
        return NOT_ALLOWED
    if "must have a tty" in text or ("a terminal is required to read" in text and has_password):
        return TERMINAL
    return PASSWORD if "password" in text else ""
