"""Tables of messages in pages: each stands between two comments, and the prose around is by hand.

The first comment names the category's file, from which the table is written.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..settings.source import WORDS, prose
from ..settings.text import note
from .catalogue import Entry, entries, shown

_ROOM = r"src/ppocr_control/messages/(\w+)\.yml"
_TABLE = re.compile(f"({note(_ROOM, '<!--')}\n).*?(<!-- end of the table -->)", re.DOTALL)
_HEAD = {"en": "| Message | What to do |", "zh": "| 报错 | 处理 |"}
_NOTE = {"en": " ({})", "zh": "（{}）"}
_BREAK = {"en": "; ", "zh": "；"}


def _row(entry: Entry, language: str) -> str:
    said = WORDS[language]["comma"].join(f"`{shown(message)}`" for message in entry.messages)
    if entry.note:
        said += _NOTE[language].format(prose(entry.note[language], language))
    told = (prose(text[language], language) for text in (entry.cause, entry.remedy) if text)
    cells = (said, _BREAK[language].join(told))
    return "| {} | {} |".format(*(cell.replace("|", "\\|") for cell in cells))


def _table(category: str, language: str) -> str:
    rows = [_row(entry, language) for entry in entries(category)]
    return "\n".join([_HEAD[language], "| --- | --- |", *rows]) + "\n"


def page(path: Path) -> str:
    """The text of a page with its tables written anew. Raises OSError, yaml.YAMLError."""
    language = "zh" if path.name.endswith(".zh-CN.md") else "en"
    return _TABLE.sub(
        lambda found: found[1] + _table(found[2], language) + found[3],
        path.read_text(encoding="utf-8"),
    )
