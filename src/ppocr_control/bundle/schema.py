"""Validates a manifest before its content is used.

A signature proves who wrote a manifest, not that it is valid.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from .lists import INDEX_FILES

FORMAT = 1
#: A real manifest has about 100 kB.
MAX_BYTES = 16 << 20
_MAX_NAME = 240
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LAYER = {"diff_id": str, "codec": str, "digest": str, "size": int, "raw_size": int}


class Malformed(ValueError):
    """A manifest is invalid; the message names the place."""


class OtherFormat(Malformed):
    """A manifest of another version of this project."""


def parse(data: bytes) -> dict[str, Any]:
    """Parse a manifest.

    Raises:
        Malformed: it is not JSON, or not a valid manifest.
    """
    if len(data) > MAX_BYTES:
        raise Malformed(f"it has more than {MAX_BYTES >> 20} MB")
    try:
        manifest = json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is not JSON in UTF-8 ({str(error)[:120]})") from error
    if not isinstance(manifest, dict):
        raise Malformed("it is not a JSON object")
    if _typed("", manifest, "format", int) != FORMAT:
        raise OtherFormat(f"it has format {manifest['format']:.6g}, this project reads {FORMAT}")
    _check(manifest)
    return manifest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Malformed("a key is in it twice")
    return made


def _no_constant(name: str) -> Any:
    raise Malformed(f"{name} is not a number")


def _typed(place: str, values: dict[str, Any], key: str, kind: type) -> Any:
    value = values.get(key)
    if type(value) is not kind:
        raise Malformed(f"{place}{key} is missing or of another type")
    if isinstance(value, str) and not value.isprintable():
        raise Malformed(f"{place}{key} has characters that cannot be printed")
    if isinstance(value, int) and value < 0:
        raise Malformed(f"{place}{key} is below zero")
    return value


def _check(manifest: dict[str, Any]) -> None:
    for key in ("name", "version", "created", "architecture"):
        _typed("", manifest, key, str)
    for key in ("image", "releases", "files"):
        _typed("", manifest, key, dict)
    files = manifest["files"]
    _check_names(files)
    for name, entry in files.items():
        if not isinstance(entry, dict):
            raise Malformed(f"files[{name!r}] is not an object")
        _typed(f"files[{name!r}].", entry, "size", int)
        if not _SHA256.fullmatch(_typed(f"files[{name!r}].", entry, "sha256", str)):
            raise Malformed(f"files[{name!r}].sha256 is not a sha256")
    _check_image(manifest["image"], files)
    for release, entry in manifest["releases"].items():
        place = f"releases[{release!r}]."
        if not release.isprintable() or len(release) > _MAX_NAME or not isinstance(entry, dict):
            raise Malformed("releases contains an invalid entry")
        if _typed(place, entry, "path", str) not in files:
            raise Malformed(f"{place}path is not among its files")
    _check_since(manifest.get("since"), files)


def _check_image(image: dict[str, Any], files: dict[str, Any]) -> None:
    for key in ("path", "tag", "id", "content"):
        _typed("image.", image, key, str)
    if type(image.get("paddle", "")) is not str:  # those of former versions have none
        raise Malformed("image.paddle is of another type")
    if image["path"] not in files:
        raise Malformed("image.path is not among its files")
    if not _DIGEST.fullmatch(image["id"]):
        raise Malformed("image.id is not a sha256")
    for number, layer in enumerate(_typed("image.", image, "layers", list)):
        place = f"image.layers[{number}]"
        if not isinstance(layer, dict) or set(layer) != set(_LAYER):
            raise Malformed(f"{place} is not a valid layer")
        for key, kind in _LAYER.items():
            _typed(f"{place}.", layer, key, kind)
        if not _DIGEST.fullmatch(layer["digest"]) or not _DIGEST.fullmatch(layer["diff_id"]):
            raise Malformed(f"{place} has an invalid sha256")


def _check_since(since: Any, files: dict[str, Any]) -> None:
    if since is None:
        return
    if not isinstance(since, dict):
        raise Malformed("since is not an object")
    _typed("since.", since, "created", str)
    absent = _typed("since.", since, "absent", list)
    if not all(isinstance(name, str) and name in files for name in absent):
        raise Malformed("since.absent names what is not among its files")
    delta = since.get("image_delta")
    if delta is not None and (type(delta) is not str or delta not in files):
        raise Malformed("since.image_delta is not among its files")


def _check_names(names: Iterable[str]) -> None:
    """Check that names stay inside the bundle, are unique on every system, and fit on a line."""
    seen: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        if len(name) > _MAX_NAME:
            raise Malformed(f"a file name has more than {_MAX_NAME} characters")
        if not name.isprintable() or "\\" in name:
            raise Malformed(f"the file name {name!a} has a backslash or cannot be printed")
        if {"", ".", ".."} & set(parts):
            raise Malformed(f"the file name {name!r} does not stay inside the bundle")
        if name in INDEX_FILES:
            raise Malformed(f"the file name {name!r} is reserved for the bundle")
        for count in range(1, len(parts) + 1):
            path, kind = "/".join(parts[:count]), "file" if count == len(parts) else "folder"
            folded = unicodedata.normalize("NFC", path).casefold()
            if seen.setdefault(folded, path) != path or kinds.setdefault(path, kind) != kind:
                raise Malformed(f"the file names {seen[folded]!r} and {path!r} exclude each other")
