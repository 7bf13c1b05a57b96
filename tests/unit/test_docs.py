"""The documentation: pages in two languages kept in step, links that resolve, short READMEs."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Written in English only; the READMEs say so where they link to them.
ENGLISH_ONLY = {"docs/architecture.md", "CHANGELOG.md"}
PAGES = sorted(
    str(path.relative_to(ROOT)) for folder in (ROOT, ROOT / "docs") for path in folder.glob("*.md")
)
BOTH = [page for page in PAGES if not page.endswith(".zh-CN.md") and page not in ENGLISH_ONLY]
README_LINES = 110


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def twin(page: str) -> str:
    return page.removesuffix(".md") + ".zh-CN.md"


def without_code(text: str) -> str:
    """The text without fenced blocks and without `code`, where brackets and # mean other things."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def headings(text: str) -> list[tuple[int, str]]:
    """Level and text of each heading."""
    found = re.findall(r"^(#+) (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return [(len(marks), title) for marks, title in found]


def shape(text: str) -> list[str]:
    """What two languages of a page share, in order: headings, table rows, list items, code."""
    kinds = []
    in_code = False
    for line in text.splitlines():
        if line.startswith("```"):
            in_code = not in_code
            kinds.append(line)
        elif not in_code and (mark := re.match(r"#+ |\||- |\d+\. |!\[", line)):
            kinds.append("row" if mark[0] == "|" else mark[0])
    return kinds


def anchor(title: str) -> str:
    """The anchor GitHub makes of a heading."""
    kept = (
        letter
        for letter in title.lower()
        if letter in "- _" or unicodedata.category(letter)[0] in "LNM"
    )
    return "".join(kept).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {anchor(title) for _, title in headings(path.read_text(encoding="utf-8"))}


def broken(page: str) -> list[str]:
    """Links of a page to files or headings that are not there."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(read(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        if not path.exists() or (heading and heading not in anchors(path)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", BOTH)
def test_both_languages_are_in_step(page: str) -> None:
    assert (ROOT / twin(page)).exists(), f"{twin(page)} is missing"
    assert shape(read(page)) == shape(read(twin(page)))
    here, there = Path(page).name, Path(twin(page)).name
    assert f"]({there})" in read(page) and f"]({here})" in read(twin(page))


def test_no_chinese_page_is_alone() -> None:
    chinese = {page for page in PAGES if page.endswith(".zh-CN.md")}
    assert chinese == set(map(twin, BOTH))


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str) -> None:
    assert broken(page) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.endswith(".zh-CN.md")])
def test_a_chinese_page_leads_to_chinese_pages(page: str) -> None:
    """To the page in the reader's language, where there is one."""
    to_english = {
        target
        for target in re.findall(r"\]\(([^)#\s]+\.md)", read(page))
        if not target.endswith(".zh-CN.md")
        and ((ROOT / page).parent / twin(target)).exists()
        and Path(target).name != Path(page).name.replace(".zh-CN", "")
    }
    assert to_english == set()


@pytest.mark.parametrize("page", ["docs/README.md", "docs/README.zh-CN.md"])
def test_the_index_names_every_page(page: str) -> None:
    chinese = page.endswith(".zh-CN.md")
    own = {
        path.name
        for path in (ROOT / "docs").glob("*.md")
        if path.name.endswith(".zh-CN.md") == chinese or f"docs/{path.name}" in ENGLISH_ONLY
    }
    assert own - {Path(page).name} <= set(re.findall(r"\]\(([^)#]+)\)", read(page)))


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_readme_is_short(page: str) -> None:
    assert len(read(page).splitlines()) <= README_LINES


@pytest.mark.parametrize(
    "pattern",
    ["roles/**/*.yml", "roles/**/*.py", "playbooks/**/*.yml", "inventory/**/*.yml", "scripts/**/*"],
)
def test_pages_named_by_code_are_there(pattern: str) -> None:
    """A message that leads to docs/x.md must lead to a page."""
    named = {
        (page, str(path.relative_to(ROOT)))
        for path in ROOT.glob(pattern)
        if path.is_file() and path.suffix in {"", ".py", ".sh", ".yml"}
        for page in re.findall(r"\bdocs/[a-zA-Z/.-]+\.md\b", path.read_text(encoding="utf-8"))
    }
    assert {where for page, where in named if not (ROOT / page).exists()} == set()


def test_the_checks_see_what_they_are_for() -> None:
    text = "# One\n\n```\n# no heading\n```\n\n## Two, and `x`: three\n\n| a |\n- b\n"
    assert headings(text) == [(1, "One"), (2, "Two, and `x`: three")]
    assert shape(text) == ["# ", "```", "```", "## ", "row", "- "]
    assert anchor("Two, and `x`: three") == "two-and-x-three"
    assert anchor("镜像站、代理、企业 CA") == "镜像站代理企业-ca"
