"""Reads layers directly from a classic engine's files, byte for byte as ``docker save`` gives them.

The engine stores each layer as a folder of files and, in tar-split.json.gz, the rest of its
original tar (headers, padding). Combined they give that tar again, which its sha256 verifies. This
needs root on the engine's machine and the overlay2 store; otherwise ``docker save`` is used.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..docker_engine.engine import is_local
from ..files import read_blocks
from .image_archive import chain_ids

_FILE, _SEGMENT = 1, 2


@dataclass(frozen=True)
class Layer:
    """A layer in the engine's files; ``size`` is the total size of its files in bytes."""

    record: Path
    files: Path
    size: int

    def blocks(self) -> Iterator[bytes]:
        """Yield the layer's tar."""
        folder = os.open(self.files, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with gzip.open(self.record) as lines:
                for line in lines:
                    yield from self._entry(json.loads(line), folder)
        finally:
            os.close(folder)

    def _entry(self, entry: dict[str, Any], folder: int) -> Iterator[bytes]:
        if entry["type"] == _SEGMENT:
            yield base64.b64decode(entry["payload"])
        elif entry["type"] == _FILE and entry.get("size"):
            raw = entry.get("name_raw")
            name = base64.b64decode(raw) if raw else entry["name"].encode()
            handle = os.open(name.lstrip(b"/"), os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
            with os.fdopen(handle, "rb") as file:
                yield from read_blocks(file)


def _root(info: dict[str, Any]) -> Path | None:
    if info.get("Driver") != "overlay2" or not is_local():
        return None
    root = Path(info.get("DockerRootDir") or "/nowhere")
    readable = os.access(root / "image/overlay2/layerdb/sha256", os.R_OK | os.X_OK)
    return root if readable and os.geteuid() == 0 else None


def config(info: dict[str, Any], image_id: str) -> bytes | None:
    """Return an image's configuration from the engine's files; None if they cannot be read."""
    root = _root(info)
    path = root / "image/overlay2/imagedb/content/sha256" / image_id[7:] if root else None
    return path.read_bytes() if path and path.is_file() else None


def find(info: dict[str, Any], diff_ids: list[str], diff_id: str) -> Layer | None:
    """Return a layer of an image in the engine's files; None if they cannot be read.

    Args:
        info: the engine's ``docker info``.
        diff_ids: the image's layers, lowest first.
        diff_id: the requested layer.
    """
    root = _root(info)
    if root is None:
        return None
    chain = chain_ids(diff_ids)[diff_ids.index(diff_id)]
    record = root / "image/overlay2/layerdb/sha256" / chain[7:]
    try:
        files = root / "overlay2" / (record / "cache-id").read_text().strip() / "diff"
        size = int((record / "size").read_text())
    except (OSError, ValueError):
        return None
    split = record / "tar-split.json.gz"
    return Layer(split, files, size) if split.is_file() and files.is_dir() else None
