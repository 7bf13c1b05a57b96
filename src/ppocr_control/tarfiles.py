"""Archives: tars whose bytes depend on their files alone, and what damaged archives raise."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib

#: What reading a tar or zip raises that is none, or is cut off or damaged.
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError,
    NotImplementedError, RuntimeError,
)  # fmt: skip


def without_owner_and_time(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """A filter for ``TarFile.add``.

    Owner and time of whoever packs are not content: without them an unchanged file gives the same
    bytes again, and in an image the same layer.
    """
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info
