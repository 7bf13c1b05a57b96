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


@pytest.mark.parametrize(
    ("given", "cause"), [(False, sudo_errors.PASSWORD), (True, sudo_errors.TERMINAL)]
)
def test_a_password_that_was_given_cannot_be_what_a_terminal_is_for(
    given: bool, cause: str
) -> None:
    said = "sudo: a terminal is required to read the password; use the -S option"
    assert sudo_errors.refusal(said, has_password=given) == cause
