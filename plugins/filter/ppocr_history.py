"""Filters of the role ppocr_history."""

from __future__ import annotations

from typing import Any

from ppocr_control import history

_COLUMNS = ("when", "host", "verb", "result", "version", "image_id", "who", "revision")


def ppocr_history_table(
    theirs: list[str], ours: str, rows: int, hosts: list[str]
) -> list[dict[str, str]]:
    """The newest rows of the hosts' histories and the control node's, for the hosts named."""
    found = [record for record in history.merge(*theirs, ours) if record["host"] in hosts]
    return [_row(record) for record in found[-rows:]]


def _row(record: dict[str, Any]) -> dict[str, str]:
    row = {column: str(record.get(column, "")) for column in _COLUMNS}
    row["image_id"] = row["image_id"].removeprefix("sha256:")[:12]
    changed = ", ".join(record.get("settings") or [])
    row["changed settings, message"] = "; ".join(filter(None, [changed, record.get("message")]))
    return row


class FilterModule:
    """Filters of the role ppocr_history."""

    def filters(self) -> dict[str, object]:
        return {"ppocr_history_table": ppocr_history_table}
