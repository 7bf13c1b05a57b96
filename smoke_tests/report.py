"""The HTML page of a run: one file without any outside asset.

Boxes and text are drawn over each embedded picture as SVG, so that the browser's own fonts show
Chinese, whatever fonts the machine that ran the tests has.
"""

from __future__ import annotations

import base64
import io
from difflib import SequenceMatcher
from html import escape
from itertools import zip_longest
from pathlib import Path
from string import Template

from PIL import Image, UnidentifiedImageError

from .contract import same_line
from .outcome import Row, Run
from .table import width as text_columns

TEMPLATE = Path(__file__).with_name("report_template.html")
# Longest side in pixels of an embedded picture; larger ones are scaled down for the page only.
MAX_SIDE = 1200
COLOURS = ("#d9480f", "#1864ab", "#2b8a3e", "#862e9c", "#a61e4d", "#0b7285")


def embed_picture(path: Path) -> tuple[str, int, int]:
    """Return a data URL of the picture, and its own width and height in pixels.

    Raises OSError when the file is not a picture Pillow can read.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            size = opened.size
            shown = opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise OSError(f"{path.name}: {error}") from None
    if max(size) > MAX_SIDE:
        shown.thumbnail((MAX_SIDE, MAX_SIDE))
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=85)
    encoded = base64.b64encode(out.getvalue()).decode("ascii")
    return f"data:image/jpeg;base64,{encoded}", size[0], size[1]


def draw_picture(row: Row) -> str:
    """Return SVG: the picture with its boxes at the left, the text in place at the right."""
    try:
        data_url, wide, high = embed_picture(row.picture)
    except OSError as error:
        return f"<p>{escape(str(error))}</p>"
    with_text = any("text" in line for line in row.lines)
    parts = [f'<image href="{data_url}" width="{wide}" height="{high}"/>']
    stroke = max(1.5, wide / 500)
    for number, line in enumerate(row.lines):
        colour = COLOURS[number % len(COLOURS)]
        points = line["text_region"]
        shape = " ".join(f"{x},{y}" for x, y in points)
        parts.append(
            f'<polygon points="{shape}" fill="none" stroke="{colour}" stroke-width="{stroke:g}"/>'
        )
        if with_text:
            parts.append(_placed_text(points, line, wide, colour))
    total = wide * 2 if with_text else wide
    label = escape(", ".join(row.recognised) or row.picture.name)
    return (
        f'<svg viewBox="0 0 {total} {high}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _placed_text(points: list[list[int]], line: dict[str, object], shift: int, colour: str) -> str:
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
    length = max(abs(x1 - x0), abs(x2 - x3), 1)
    size = max(abs(y3 - y0), abs(y2 - y1), 8) * 0.8
    text = str(line["text"])
    # Half an em a column: text wider than its box is squeezed into it.
    squeeze = ""
    if text_columns(text) * size / 2 > length:
        squeeze = f' textLength="{length}" lengthAdjust="spacingAndGlyphs"'
    tooltip = f"<title>{escape(text)} {line['confidence']:.4f}</title>"
    return (
        f'<text x="{min(x0, x3) + shift}" y="{max(y2, y3) - size * 0.25:.1f}" '
        f'font-size="{size:.1f}" fill="{colour}"{squeeze}>{escape(text)}{tooltip}</text>'
    )


def mark_difference(want: str, got: str) -> tuple[str, str]:
    """Return both lines as HTML with the differing characters marked."""
    if same_line(want, got):
        return escape(want), escape(got)
    left, right = [], []
    for kind, a0, a1, b0, b1 in SequenceMatcher(None, want, got, autojunk=False).get_opcodes():
        old, new = escape(want[a0:a1]), escape(got[b0:b1])
        left.append(old if kind == "equal" else f"<ins>{old}</ins>")
        right.append(new if kind == "equal" else f"<del>{new}</del>")
    return "".join(left), "".join(right)


def _verdict_cell(ok: bool) -> str:
    return f'<td class="{"good" if ok else "bad"}">{"通过 ok" if ok else "不符 MISS"}</td>'


def _row_line(row: Row, anchor: str) -> str:
    confidence = "" if row.min_confidence is None else f"{row.min_confidence:.4f}"
    elapsed = "" if row.elapsed_ms is None else f"{row.elapsed_ms:.0f}"
    count = len(row.lines) or len(row.recognised)
    return (
        f'<tr><td><a href="#{anchor}">{escape(row.picture.name)}</a></td>'
        f'<td>{escape(row.module)}</td><td class="number">{count}</td>'
        f'<td class="number">{confidence}</td><td class="number">{elapsed}</td>'
        f"{_verdict_cell(row.ok)}</tr>"
    )


def _article(row: Row, anchor: str) -> str:
    body = [draw_picture(row)]
    if row.recognised or row.expected:
        cells = []
        for number, (want, got) in enumerate(zip_longest(row.expected or (), row.recognised), 1):
            if row.expected is None:
                left, right = "—", escape(got)
            else:
                left, right = mark_difference(want or "", got or "")
            score = ""
            if number <= len(row.lines):
                score = f"{row.lines[number - 1].get('confidence', 0):.4f}"
            cells.append(
                f'<tr><td class="number">{number}</td><td>{left}</td><td>{right}</td>'
                f'<td class="number">{score}</td></tr>'
            )
        if not row.module.endswith("det"):
            body.append(
                '<div class="scroll"><table><thead><tr><th>#</th><th>期望 Expected</th>'
                "<th>识别 Recognised</th><th>置信度 Confidence</th></tr></thead>"
                f"<tbody>{''.join(cells)}</tbody></table></div>"
            )
    if row.problems:
        listed = "".join(f"<li>{escape(text)}</li>" for text in row.problems)
        body.append(f'<ul class="problems">{listed}</ul>')
    state = "good" if row.ok else "bad"
    return (
        f'<article id="{anchor}"><h3 class="{state}">{escape(row.picture.name)} '
        f"<span>{escape(row.module)}</span></h3>{''.join(body)}</article>"
    )


def _not_asked(run: Run) -> str:
    if not run.not_asked:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in run.not_asked)
    return f"<h2>未发送的图片<small>Pictures not sent</small></h2>\n<ul>{items}</ul>"


def render_html(run: Run) -> str:
    """Return the whole page as a string."""
    anchors = [f"picture-{number}" for number in range(1, len(run.rows) + 1)]
    checks = "".join(
        f"<tr><td>{escape(check.name)}</td>{_verdict_cell(check.ok)}"
        f"<td>{'<br>'.join(escape(text) for text in check.problems)}</td></tr>"
        for check in run.checks
    )
    times = [row.elapsed_ms for row in run.rows if row.elapsed_ms is not None]
    facts = {
        "服务 Service": run.settings.base_url,
        "实例 Instance": run.settings.instance_name,
        "模块 Modules": ", ".join(run.settings.modules),
        "时间 Started": run.started.isoformat(sep=" ", timespec="seconds"),
        "通过 Passed": f"{run.done - run.failed} / {run.planned}",
        "平均耗时 Mean time": f"{sum(times) / len(times):.0f} ms" if times else "—",
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(f"{'PASSED' if run.ok else 'FAILED'} · {run.settings.instance_name}"),
        state="good" if run.ok else "bad",
        summary=escape(run.summary()),
        facts="".join(f"<li>{k}: <b>{escape(v)}</b></li>" for k, v in facts.items()),
        rows="".join(map(_row_line, run.rows, anchors)),
        checks=checks,
        not_asked=_not_asked(run),
        pictures="\n".join(map(_article, run.rows, anchors)),
    )


def write_html(run: Run, path: Path) -> None:
    """Write the page of a run to ``path``."""
    path.write_text(render_html(run), encoding="utf-8")
