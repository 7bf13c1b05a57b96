"""Which cases of a test the default tier has (CONTRIBUTING.md, "Run the tests")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def for_full(*cases: Any) -> list[Any]:
    """Cases for ``parametrize`` that --full alone runs; a tuple has a value for each argument."""
    values = (case if isinstance(case, tuple) else (case,) for case in cases)
    return [pytest.param(*each, marks=pytest.mark.full) for each in values]


def first_by_default(cases: Iterable[Any]) -> list[Any]:
    """Cases for ``parametrize``, of which the first is in the default tier."""
    first, *others = cases
    return [first, *for_full(*others)]
