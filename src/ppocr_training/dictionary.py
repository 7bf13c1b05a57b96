"""A dictionary of characters: one a line, in the order of the model's last layer."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path

from .findings import Finding

_SETTING = "trainer_dictionary"


def read(path: Path) -> list[str]:
    """The characters, as PaddleOCR reads them: a blank line is a character of no text.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
    """
    lines = path.read_bytes().split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.decode("utf-8").strip("\r\n") for line in lines]


def check(path: Path, where: str = "") -> Iterator[Finding]:
    """Refuse what changes the order, the number or the text of characters unseen."""
    findings = [*check_file(path, _SETTING, where)]
    yield from findings
    if any(finding.fatal for finding in findings):
        return
    first: dict[str, int] = {}
    for number, character in enumerate(read(path), 1):
        if character in first:
            yield Finding(
                "dictionary", f"{where or path}:{number}",
                f"{character!r} stands in line {first[character]} already",
                "remove one of them before training; a model trained with both needs both",
            )  # fmt: skip
            break
        first[character] = number


def check_file(path: Path, setting: str, where: str = "") -> Iterator[Finding]:
    """Refuse a file, named by ``setting``, whose characters are not what an editor shows."""
    where = where or str(path)
    try:
        data, characters = path.read_bytes(), read(path)
    except OSError:
        yield Finding(
            "dictionary", where, "there is no such file", f"correct {setting}", fatal=True
        )
        return
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        yield Finding(
            "dictionary", f"{where}:{line}", "it is not UTF-8",
            f"iconv -f GB18030 -t UTF-8 writes it as UTF-8, or correct {setting}", fatal=True,
        )  # fmt: skip
        return
    if data.startswith(codecs.BOM_UTF8):
        yield Finding(
            "dictionary", f"{where}:1",
            "it begins with a byte order mark, which becomes part of a character",
            "save it as UTF-8 without BOM",
        )  # fmt: skip
    if b"\r\n" in data:
        line = data[: data.index(b"\r")].count(b"\n") + 1
        remedy = "save it with LF (sed -i 's/\\r$//')"
        yield Finding("dictionary", f"{where}:{line}", "its lines end with CRLF", remedy)
    if not characters:
        yield Finding("dictionary", where, "it is empty", f"correct {setting}", fatal=True)


def check_order(given: Sequence[str], base: Sequence[str], path: str) -> Iterator[Finding]:
    """Refuse the characters of the config's own dictionary in another order.

    Weights trained with the one load silently with the other, and read nothing correctly.
    """
    if list(given) != list(base) and sorted(given) == sorted(base):
        line = next(
            n for n, pair in enumerate(zip(given, base, strict=True), 1) if len({*pair}) == 2
        )
        yield Finding(
            "dictionary_order", f"{path}:{line}",
            "it has the characters of the config's own dictionary in another order",
            f"leave {_SETTING} empty, or give the file the weights were trained with",
        )  # fmt: skip
