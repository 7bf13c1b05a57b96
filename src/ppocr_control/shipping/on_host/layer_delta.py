"""Lists the files of layers, and rebuilds a layer from them, as root. See ../file_delta.py.

The engine's folder is its overlay2 store, where a layer is identified by its chain ID. Only the
content of regular files is read; owners, modes, links and whiteouts of the new layer are in the
delta.
"""

import base64
import errno
import gzip
import hashlib
import json
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

#: Files are compared in pieces of this many bytes; the last one may be shorter.
BLOCK = 256 << 10
#: Bytes kept of a piece's sha256. The rebuilt layer is verified by its full sha256.
DIGEST = 16
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def digest(piece: bytes) -> str:
    """Return the hexadecimal digest that identifies a piece of a file."""
    return hashlib.sha256(piece).hexdigest()[: 2 * DIGEST]


def record_of(root: str, chain: str) -> Path:
    """Return the folder of an engine's record of a layer, with files ``cache-id`` and ``size``."""
    return Path(root, "image/overlay2/layerdb/sha256", chain.replace("sha256:", ""))


def folder_of(root: str, chain: str) -> Path:
    """Return the folder of a layer's files in the engine. Raises OSError if there is none."""
    name = (record_of(root, chain) / "cache-id").read_text().strip()
    return Path(root, "overlay2", name, "diff")


def digests(handle: int) -> str:
    """Return the concatenated digests of a file's pieces."""
    found: list[str] = []
    with os.fdopen(handle, "rb") as file:
        while True:
            piece = file.read(BLOCK)
            if not piece:
                return "".join(found)
            found.append(digest(piece))


def files_in(folder: Path) -> "list[list[Any]]":
    """Return ``[path, size, digests]`` of each file, sorted; paths are bytes decoded as latin-1."""
    rows, seen = [], set()
    for place, folders, names, handle in os.fwalk(folder):
        folders.sort()
        for name in sorted(names):
            about = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if not stat.S_ISREG(about.st_mode) or not about.st_size or about.st_ino in seen:
                continue
            seen.add(about.st_ino)
            path = os.fsencode(str(Path(place, name).relative_to(folder)))
            opened = os.open(name, _FILE, dir_fd=handle)
            rows.append([path.decode("latin-1"), about.st_size, digests(opened)])
    return rows


def index(limit: int, root: str, chains: "list[str]") -> str:
    """Return the files of each layer, compressed. Raises OSError if they cannot be read."""
    size = sum(int((record_of(root, chain) / "size").read_text()) for chain in chains)
    if size > limit:
        raise OSError(errno.EFBIG, "there is too much to compare", f"{size} bytes")
    text = json.dumps([files_in(folder_of(root, chain)) for chain in chains]).encode()
    return base64.b64encode(zlib.compress(text)).decode()


class Files:
    """The files of a layer, opened without following links out of it."""

    def __init__(self, folder: Path) -> None:
        self._top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._place: list[bytes] = []
        self._handle = os.dup(self._top)

    def open(self, path: bytes) -> int:
        """Return a handle of a file. Raises OSError, or ValueError if the path leaves the layer."""
        *place, name = path.split(b"/")
        if b".." in (*place, name):
            raise ValueError("a path in the delta leaves its layer")
        if place != self._place:
            self._enter(place)
        return os.open(name, _FILE, dir_fd=self._handle)

    def _enter(self, place: "list[bytes]") -> None:
        handle = os.dup(self._top)
        for part in place:
            above, handle = handle, os.open(part, _FOLDER, dir_fd=handle)
            os.close(above)
        os.close(self._handle)
        self._place, self._handle = place, handle


def copied(files: Files, path: bytes, offset: int, size: int) -> "Iterator[bytes]":
    """Yield a range of a layer's file in blocks. Raises OSError if the file is too short."""
    with os.fdopen(files.open(path), "rb") as file:
        file.seek(offset)
        while size:
            block = file.read(min(size, 1 << 20))
            if not block:
                raise OSError(errno.EIO, "a file is shorter than it was", path)
            size -= len(block)
            yield block


def rebuilt(delta: BinaryIO, layers: "list[Files]") -> "Iterator[bytes]":
    """Yield the new layer's tar in blocks.

    A delta is a sequence of records: ``= SIZE`` followed by that many bytes of data, and
    ``< LAYER OFFSET SIZE LENGTH`` followed by a path of LENGTH bytes, which stands for a range of
    that file. Each record's head ends with a newline.
    """
    for head in iter(delta.readline, b""):
        kind, *numbers = head.split()
        if kind == b"=":
            yield delta.read(int(numbers[0]))
        else:
            number, offset, size, length = map(int, numbers)
            yield from copied(layers[number], delta.read(length), offset, size)


def rebuild(path: str, root: str, chains: "list[str]") -> None:
    """Write a layer's tar to standard output, from the delta at ``path``."""
    layers = [Files(folder_of(root, chain)) for chain in chains]
    with cast("BinaryIO", gzip.open(path)) as delta:
        for block in rebuilt(delta, layers):
            sys.stdout.buffer.write(block)
    sys.stdout.flush()


def main(settings: "dict[str, Any]") -> None:
    """Rebuild a layer, or list files.

    Args:
        settings: root (the engine's folder) and chains; to rebuild, delta (its file); to list
            files, limit (the maximum of bytes to read).
    """
    root, chains = settings["root"], settings["chains"]
    try:
        if "delta" in settings:
            rebuild(settings["delta"], root, chains)
        else:
            print(index(settings["limit"], root, chains))
    except OSError as error:
        sys.exit(str(error))
