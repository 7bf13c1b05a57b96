"""Why sudo refused."""

from __future__ import annotations

import pytest
from ppocrlib import sudowords


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("sudo: a password is required", sudowords.PASSWORD),
        ("Sorry, try again.\nsudo: 1 incorrect password attempt", sudowords.WRONG_PASSWORD),
        ("sudo: sorry, you must have a tty to run sudo", sudowords.TERMINAL),
        ("ops is not in the sudoers file.", sudowords.NOT_ALLOWED),
        ("Sorry, user ops may not run sudo on web1.", sudowords.NOT_ALLOWED),
        ("env: 'sudo': No such file or directory", sudowords.MISSING),
        ("sudo: 3 Fehlversuche bei der Passwort-Eingabe", ""),
        ("", ""),
    ],
)
def test_causes(said: str, cause: str) -> None:
    assert sudowords.refusal(said) == cause
