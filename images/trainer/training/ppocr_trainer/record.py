"""The record of what a run was started with, which its export uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .places import RECORD, write_json


def begin(given: Mapping[str, Any]) -> None:
    """Record what a run is begun with, once."""
    if not RECORD.exists():
        write_json(RECORD, dict(given))


def read() -> dict[str, Any]:
    """What the run was begun with; empty where none was."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
