"""Why sudo refused: its messages are in the catalogue (tests/unit/test_messages.py)."""

from __future__ import annotations

import pytest

from ppocr_control.ssh import sudo_errors


@pytest.mark.parametrize(
    ("given", "cause"), [(False, "sudo-password"), (True, sudo_errors.TERMINAL)]
)
def test_a_password_that_was_given_cannot_be_what_a_terminal_is_for(
    given: bool, cause: str
) -> None:
    said = "sudo: a terminal is required to read the password; use the -S option"
    known = sudo_errors.refusal(said, has_password=given)
    assert known and known.id == cause


def test_no_words_have_no_cause() -> None:
    assert sudo_errors.refusal("") is None
