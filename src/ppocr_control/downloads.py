"""Downloads that are cached, and verified by sha256."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import requests

from .errors import Error, Refused
from .files import CHUNK, file_sha256


def download(url: str, target: Path) -> None:
    """Write what a URL has to a file.

    Raises:
        Error: it cannot be fetched.
    """
    print(f"fetching {url}", file=sys.stderr)
    try:
        with requests.get(url, stream=True, timeout=60) as response, target.open("wb") as file:
            response.raise_for_status()
            for block in response.iter_content(CHUNK):
                file.write(block)
    except requests.RequestException as error:
        raise Error(f"cannot fetch {url}: {error}") from error


def cached(file: Path, sha256: str, what: str, fetch: Callable[[Path], None]) -> Path:
    """Return ``file``, which ``fetch`` writes where it is not there yet.

    Args:
        what: the file's name in messages.

    Raises:
        Refused: it has another sha256; it is removed.
    """
    if file.is_file():
        return _verified(file, sha256, what)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    fetch(part)
    return _verified(part, sha256, what).rename(file)


def _verified(path: Path, sha256: str, what: str) -> Path:
    found = file_sha256(path)
    if found != sha256:
        path.unlink()
        raise Refused(f"{what}: sha256 is {found}, expected {sha256}: truncated or altered")
    return path
