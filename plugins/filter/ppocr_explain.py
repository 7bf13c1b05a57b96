"""Filter of all roles: what known errors of others mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ppocr_control.messages import catalogue


def ppocr_explain(texts: Iterable[Any]) -> str:
    """Cause and remedy of the first known GPU error in texts, as a sentence; '' without one."""
    advice = catalogue.explain("\n".join(str(text) for text in texts), "gpu")
    return f"Cause and remedy: {advice}." if advice else ""


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, object]:
        return {"ppocr_explain": ppocr_explain}
