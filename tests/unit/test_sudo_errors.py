"""Why sudo refused."""

from __future__ import annotations

import pytest

from ppocr_control.ssh import sudo_errors


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("sudo: a password is required", sudo_errors.PASSWORD),
        ("Sorry, try again.\nsudo: 1 incorrect password attempt", sudo_errors.WRONG_PASSWORD),
        ("sudo: sorry, you must have a tty to run sudo", sudo_errors.TERMINAL),
        ("ops is not in the sudoers file.", sudo_errors.NOT_ALLOWED),
        ("Sorry, user ops may not run sudo on web1.", sudo_errors.NOT_ALLOWED),
        ("env: 'sudo': No such file or directory", sudo_errors.MISSING),
        ("sudo: 3 Fehlversuche bei der Passwort-Eingabe", ""),
        ("", ""),
    ],
)
def test_causes(output: str, cause: str) -> None:
    assert sudo_errors.refusal(output) == cause
