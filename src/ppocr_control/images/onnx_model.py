"""Reads the metadata of an ONNX file without the onnx package.

An ONNX model is one protocol buffer message, ModelProto; its field 14 is a list of key and value.
Recognition models converted for rapidocr keep their dictionary there, under ``character``.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from . import protobuf

_METADATA = 14
#: Maximum size of an entry in bytes; a dictionary of a hundred thousand characters has 0.4 MB.
_METADATA_BYTES = 16_000_000


class NotOnnx(ValueError):
    """The file is not an ONNX model, or truncated."""


def metadata_of(path: Path) -> dict[str, str]:
    """Return :func:`metadata` of a file, of which only the needed parts are read."""
    if not path.stat().st_size:
        raise NotOnnx("an empty file")
    with path.open("rb") as file:
        return metadata(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def metadata(content: bytes | mmap.mmap) -> dict[str, str]:
    """Return the keys and values in the model.

    Raises:
        NotOnnx: ``content`` is not a complete ONNX model.
    """
    pairs = []
    try:
        for number, entry in protobuf.fields(memoryview(content)):
            if number != _METADATA or isinstance(entry, int):
                continue
            if len(entry) > _METADATA_BYTES:
                raise NotOnnx("no ONNX model whose metadata can be read: it is too large")
            texts = protobuf.fields(entry)
            pairs.append(
                {key: bytes(text).decode() for key, text in texts if not isinstance(text, int)}
            )
    except protobuf.NotAMessage as error:
        raise NotOnnx("a truncated ONNX model" if error.truncated else "no ONNX model") from error
    except UnicodeDecodeError as error:
        raise NotOnnx("a truncated ONNX model") from error
    return {pair.get(1, ""): pair.get(2, "") for pair in pairs}
