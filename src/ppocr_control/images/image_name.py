"""Checks names of images by Docker's rules, with readable errors."""

from __future__ import annotations

import re

from ..errors import Refused

_ID = re.compile(r"sha256:[0-9a-f]+|[0-9a-f]{64}|[0-9a-f]{12}")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}")
_HOST = r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?P<repository>(?:{_HOST}/)?{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?",
    re.ASCII,
)
_LONGEST = 255
_FORM = "an image is named name:tag or host:port/name:tag, as ppocr:1.0.0"


def for_new(name: str) -> tuple[str, str]:
    """Split the name for a new image into repository and tag (default latest).

    Raises:
        Refused: blank, upper case, an ID or a digest, or otherwise invalid.
    """
    if "@" in name or _ID.fullmatch(name):
        what = "a digest" if "@" in name else "an image's ID"
        raise Refused(f"{name!r} is {what}, and a name is needed: {_FORM}")
    return _parts(name)


def to_find(name: str) -> str:
    """Return ``name`` if an image can be looked up by it: a name, ID, or name with digest.

    Raises:
        Refused: it is none of these.
    """
    if not _ID.fullmatch(name) and not re.fullmatch(r"[0-9a-f]{4,64}", name):
        _parts(_DIGEST.sub("", name) if _DIGEST.search(name) else name)
    return name


def _parts(name: str) -> tuple[str, str]:
    if not name.strip():
        raise Refused(f"the name of the image is empty: {_FORM}")
    found = _NAME.fullmatch(name)
    if found and len(found["repository"]) <= _LONGEST:
        return found["repository"], found["tag"] or "latest"
    if name != "".join(name.split()):
        raise Refused(f"{name!r} has blanks in it: {_FORM}")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, ""
    lower = repository.lower() + (f":{tag}" if colon and tag else "")
    if repository != repository.lower() and _NAME.fullmatch(lower):
        raise Refused(f"{name!r} has upper case letters, which Docker refuses: write {lower}")
    shown = name if len(name) < 80 else f"{name[:77]}..."
    raise Refused(f"{shown!r} is not a valid image name: {_FORM}")
