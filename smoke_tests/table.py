"""The table of a run for a terminal, aligned for Chinese text (two columns a character)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

from .contract import same_line
from .needs import SETTING
from .outcome import Row, Run

HEADINGS = ("picture", "recognised", "expected", "conf.", "ms", "verdict")
MAX_LINES = 6
MAX_TEXT = 40


def width(text: str) -> int:
    """Return the number of terminal columns of the text."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def fit(text: str, columns: int) -> str:
    """Return the text cut to the given columns, with an ellipsis where it was cut."""
    if width(text) <= columns:
        return text
    cut = ""
    for char in text:
        if width(cut + char) > columns - 1:
            break
        cut += char
    return cut + "…"


def pad(text: str, columns: int) -> str:
    """Return the text filled with spaces to the given columns."""
    return text + " " * (columns - width(text))


def _shown(row: Row) -> list[tuple[str, str]]:
    """Return pairs of recognised and expected lines; a long page is cut to where it differs."""
    if row.module.endswith("det"):
        return [(f"{len(row.lines)} boxes", "" if row.expected is None else str(len(row.expected)))]
    if row.expected is None:
        return [(got, "(any)") for got in row.recognised] or [("(no text)", "(any)")]
    pairs = [
        (got or "", want or "") for got, want in zip_longest(row.recognised, row.expected)
    ] or [("(no text)", "(no text)")]
    if len(pairs) <= MAX_LINES:
        return pairs
    differing = [pair for pair in pairs if not same_line(*pair)]
    shown = (differing or pairs)[: MAX_LINES - 1]
    rest = len(pairs) - len(shown)
    return [*shown, (f"… {rest} more lines", "")]


def _cells(row: Row) -> list[tuple[str, ...]]:
    confidence = "" if row.min_confidence is None else f"{row.min_confidence:.3f}"
    elapsed = "" if row.elapsed_ms is None else f"{row.elapsed_ms:.0f}"
    verdict = "ok" if row.ok else "MISS"
    name = row.picture.name if row.module.endswith("system") else f"{row.picture.name} {row.module}"
    cells: list[tuple[str, ...]] = []
    for number, (got, want) in enumerate(_shown(row)):
        head = number == 0
        cells.append(
            (
                # A mark, so that the line does not begin with a space (YAML would quote it).
                name if head else "·",
                fit(got, MAX_TEXT),
                "=" if same_line(got, want) else fit(want, MAX_TEXT),
                confidence if head else "",
                elapsed if head else "",
                verdict if head else "",
            )
        )
    return cells


def table_lines(run: Run) -> list[str]:
    """Return the whole outcome as lines of text: pictures, checks, problems, summary."""
    lines: list[str] = []
    cells: list[Sequence[str]] = [HEADINGS]
    for row in run.rows:
        cells += _cells(row)
    if run.rows:
        columns = [max(width(line[i]) for line in cells) for i in range(len(HEADINGS))]
        for number, line in enumerate(cells):
            fitted = zip(line, columns, strict=True)
            lines.append("  ".join(pad(text, size) for text, size in fitted).rstrip())
            if number == 0:
                lines.append("  ".join("─" * size for size in columns))
    for check in run.checks:
        lines.append(f"{'ok  ' if check.ok else 'MISS'}  {check.name}")
    for row in run.rows:
        lines += [f"MISS  {row.picture.name} ({row.module}): {text}" for text in row.problems]
    for check in run.checks:
        # What ended the run is said once, by the summary.
        told = [text for text in check.problems if text != run.unreachable]
        lines += [f"MISS  {check.name}: {text}" for text in told]
    lines += [f"not sent: {text}" for text in run.not_asked]
    if run.failed and run.settings.params:
        given = ", ".join(f"{name} {value}" for name, value in run.settings.params.items())
        lines.append(f"The service has {SETTING} of its own, which may be the cause: {given}")
    lines.append(run.summary())
    return lines
