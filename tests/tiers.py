"""Which cases of a test the default tier has (CONTRIBUTING.md, "Run the tests")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first_by_default(cases: Iterable[Any], count: int = 1) -> list[Any]:
    """Cases for ``parametrize``: all but the first ``count`` are for --full only."""
    listed = list(cases)
    rest = (case if isinstance(case, tuple) else (case,) for case in listed[count:])
    return [*listed[:count], *(pytest.param(*case, marks=pytest.mark.full) for case in rest)]
