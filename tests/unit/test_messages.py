"""The catalogue of messages: each is in the code it names, and each is recognised."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from role_code import ROOT, load

from ppocr_control.messages import catalogue
from ppocr_control.messages.catalogue import Entry
from ppocr_control.settings.source import LANGUAGES

ENTRIES = {
    entry.id: (category, entry)
    for category in catalogue.categories()
    for entry in catalogue.entries(category)
}
ALL = [pytest.param(*found, id=name) for name, found in ENTRIES.items()]
OURS = [each for each in ALL if "/" in each.values[1].origin]
OTHERS = [each for each in ALL if each not in OURS]
#: More letters than any expression in a template or f-string of a message has.
EXPRESSION = ".{1,200}?"


def said(path: str) -> str:
    """A file's text with strings that follow each other made one, and blanks made one."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return " ".join(re.sub(r'"\s*\n\s*f?"', "", text).split())


def stands_in(message: str, path: str) -> bool:
    return bool(re.search(catalogue.expression(message, EXPRESSION), said(path)))


def explained(text: str, category: str) -> Entry | None:
    return catalogue.find(f"some words before: {text} and after", category)


@pytest.mark.parametrize(("category", "entry"), OURS)
def test_what_we_say_stands_in_our_code(category: str, entry: Entry) -> None:
    for message in entry.messages:
        assert stands_in(message, entry.origin), f"{entry.origin} does not say: {message}"


def test_a_message_that_changed_is_noticed() -> None:
    message, path = ENTRIES["port-held"][1].messages[0], ENTRIES["port-held"][1].origin
    assert stands_in(message, path)
    assert not stands_in(message.replace("is held by", "is taken by"), path)


@pytest.mark.parametrize(("category", "entry"), OTHERS)
def test_what_others_say_is_recognised(category: str, entry: Entry) -> None:
    assert entry.samples, "the catalogue has no sample of it"
    for sample in entry.samples:
        assert explained(sample, category) is entry


@pytest.mark.parametrize(("category", "entry"), ALL)
def test_what_a_page_shows_is_recognised(category: str, entry: Entry) -> None:
    for message in entry.messages:
        assert explained(catalogue.shown(message), category) is entry


@pytest.mark.parametrize(("category", "entry"), ALL)
def test_both_languages_are_there(category: str, entry: Entry) -> None:
    for text in (entry.remedy, *filter(None, (entry.cause, entry.note))):
        assert tuple(text) == LANGUAGES
        assert not any(phrase.rstrip().endswith((".", "。")) for phrase in text.values())


def test_each_has_a_name_of_its_own() -> None:
    assert len(ENTRIES) == sum(
        len(catalogue.entries(category)) for category in catalogue.categories()
    )


@pytest.mark.parametrize("suffix", [".md", ".zh-CN.md"])
def test_each_is_on_one_page(suffix: str) -> None:
    names = ("troubleshooting", "offline", "gpu")
    pages = "".join((ROOT / f"docs/{name}{suffix}").read_text("utf-8") for name in names)
    tables = re.findall(r"^<!-- .* from \S+/messages/(\w+)\.yml: .* -->$", pages, re.MULTILINE)
    assert Counter(tables) == Counter(catalogue.categories())
    for _, entry in ENTRIES.values():
        row = f"\n| `{catalogue.shown(entry.messages[0])}`"
        assert pages.count(row) == 1, entry.id


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("OSError: [Errno 98] Address already in use", "gpu"),
        ("worker 7 was killed: out of memory", "gpu"),  # the host's, not the card's
        ("something new", "access"),
        ("sudo: 3 Fehlversuche bei der Passwort-Eingabe", "become"),
    ],
)
def test_other_errors_are_not_explained(text: str, category: str) -> None:
    assert catalogue.explain(text, category) == ""


def test_a_terminal_gets_no_marks_of_pages() -> None:
    advice = catalogue.explain("Host key verification failed.", "access")
    assert "scripts/deploy --accept-new-host-keys" in advice and "ssh-keyscan HOST" in advice
    assert "`" not in advice and "\n" not in advice


def test_the_filter_makes_a_sentence() -> None:
    explain = load("plugins/filter/ppocr_explain.py").ppocr_explain
    assert explain(["one", "No devices were found"]).startswith("Cause and remedy: the driver runs")
    assert explain(["one", 2]) == ""
