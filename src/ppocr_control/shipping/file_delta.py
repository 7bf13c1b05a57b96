"""Sends a large layer as its differences from files the host has.

This serves ``docker commit``, where one changed file gives a new layer with everything that was
ever changed. The host reports digests of the files of its most similar image
(on_host/layer_delta.py). The delta describes the new layer's tar as copies from those files and,
compressed, the data that none of them contains. The host rebuilds the tar while piping it into
``docker load``, which verifies a layer by its sha256. Hosts with the same files share a delta. The
method is rsync's, with blocks at fixed offsets, applied to the files inside the tar.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

from ..errors import Error
from ..files import BlockReader, read_blocks
from ..layers import codec as codecs
from ..layers.image_archive import chain_ids, split_name
from ..layers.store import Blob, LayerStore
from ..ssh.python import program
from ..ssh.transport import Transport
from .on_host import layer_delta

#: Layers smaller than this (bytes, unpacked) are sent faster than compared.
SMALLEST = 64 << 20
#: A delta must be this many times smaller than the data sent without it.
WORTH = 3
#: Files on the host are read only if they have at most this many times the missing layers' size.
_MAX_RATIO = 4
#: tarfile copies the rest of a block with every header it reads, so blocks are small.
_TAR_BLOCK = 32 << 10
#: Process titles on the host.
_COMPARE_TITLE, REBUILD_TITLE = "ppocr-compare", "ppocr-rebuild"


@dataclass(frozen=True)
class LayerDelta:
    """A layer in the form sent to hosts that have certain files.

    Attributes:
        blob: the delta in the store.
        layer: the rebuilt layer, uncompressed.
        root: the engine's folder on the host.
        chains: chain IDs of the host's layers whose files are copied.
    """

    blob: Blob
    layer: Blob
    root: str
    chains: tuple[str, ...]

    def script(self, path: str) -> str:
        """Return shell code that writes the layer to standard output; the delta is at ``path``."""
        settings = {"root": self.root, "chains": [*self.chains], "delta": path}
        return program("layer_delta", settings, REBUILD_TITLE)


@dataclass(frozen=True)
class DeltaBase:
    """An image on the host that the new one probably resembles."""

    name: str
    chains: tuple[str, ...]


def delta_base(
    images: Iterable[dict[str, Any]], diff_ids: Sequence[str], names: Iterable[str]
) -> DeltaBase | None:
    """Choose the image to compare with: one of the same name, else one with common layers.

    Args:
        images: the host's images, from HostState.
        diff_ids: the layers of the new image.
        names: the names of the new image.
    """
    repositories = {split_name(name)[0] for name in names}

    def rank(image: dict[str, Any]) -> tuple[bool, int, str]:
        same = any(split_name(tag)[0] in repositories for tag in image["tags"] or [])
        return same, _common_layers(image["layers"] or [], diff_ids), str(image["created"])

    for image in sorted(images, key=rank, reverse=True):
        same, shared, _ = rank(image)
        chains = chain_ids(image["layers"] or [])[shared:]
        if chains and (same or shared):
            return DeltaBase(next(iter(image["tags"] or []), image["id"][7:19]), tuple(chains))
    return None


def _common_layers(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many layers two images have in common, from the lowest on."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


@dataclass(frozen=True)
class Copy:
    """A range of the new layer's tar, from ``start`` on, that a file on the host contains."""

    start: int
    size: int
    layer: int
    path: bytes
    offset: int

    @property
    def record(self) -> bytes:
        head = f"< {self.layer} {self.offset} {self.size} {len(self.path)}\n"
        return head.encode() + self.path

    def joined(self, other: Copy) -> Copy | None:
        """Return both as one if the other continues this one, else None."""
        ends = (self.start + self.size, self.layer, self.path, self.offset + self.size)
        if ends != (other.start, other.layer, other.path, other.offset):
            return None
        return Copy(self.start, self.size + other.size, self.layer, self.path, self.offset)


class HostFiles:
    """The files of a host, from the index it sent."""

    def __init__(self, index: str) -> None:
        """Raises Error if the index is malformed."""
        self._blocks: dict[str, tuple[int, bytes, int]] = {}
        try:
            text = zlib.decompress(base64.b64decode(index))
            for number, rows in enumerate(json.loads(text)):
                for path, size, digests in rows:
                    self._add(number, path.encode("latin-1"), size, digests)
        except (ValueError, zlib.error) as error:
            raise Error(f"the host's list of files cannot be read: {error}") from error
        self.digest = hashlib.sha256(text).hexdigest()

    def _add(self, number: int, path: bytes, size: int, digests: str) -> None:
        for n in range(-(-size // layer_delta.BLOCK)):
            name = digests[2 * layer_delta.DIGEST * n : 2 * layer_delta.DIGEST * (n + 1)]
            self._blocks.setdefault(name, (number, path, n * layer_delta.BLOCK))

    def copies(self, blocks: Iterable[bytes]) -> list[Copy]:
        """Return the ranges of a layer's tar that the host has.

        Raises:
            Error: it is not a tar.
        """
        found: list[Copy] = []
        stream = cast(IO[bytes], BlockReader(blocks))
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=_TAR_BLOCK) as tar:
                for member in tar:
                    if member.isreg() and not member.issparse():
                        self._compare(tar, member, found)
        except (tarfile.TarError, ValueError) as error:
            raise Error(f"the layer's tar cannot be read: {error}") from error
        return found

    def _compare(self, tar: tarfile.TarFile, member: tarfile.TarInfo, found: list[Copy]) -> None:
        file = tar.extractfile(member)
        assert file is not None
        start = member.offset_data
        while piece := file.read(layer_delta.BLOCK):
            known = self._blocks.get(layer_delta.digest(piece))
            if known:
                one = Copy(start, len(piece), *known)
                joined = found[-1].joined(one) if found else None
                found[-1:] = [joined] if joined else [*found[-1:], one]
            start += len(piece)


def records(blocks: Iterable[bytes], size: int, copies: Iterable[Copy]) -> Iterator[bytes]:
    """Yield the delta of a layer of ``size`` bytes, uncompressed; layer_delta.rebuilt reads it."""
    stream, at = BlockReader(blocks), 0
    for copy in copies:
        yield from _literal(stream, copy.start - at)
        for _ in stream.parts(copy.size):
            pass
        yield copy.record
        at = copy.start + copy.size
    yield from _literal(stream, size - at)


def _literal(stream: BlockReader, size: int) -> Iterator[bytes]:
    for block in stream.parts(size):
        yield b"= %d\n" % len(block)
        yield block


def make(layer: Blob, files: HostFiles, store: LayerStore) -> Blob | None:
    """Return the delta of a stored layer, made once for all hosts with the same files.

    Returns:
        None if too much differs for a delta to be worth it.
    """

    def raw() -> Iterator[bytes]:
        with store.path(layer).open("rb") as file:
            yield from codecs.decompress(read_blocks(file), layer.codec)

    def delta() -> Iterator[bytes]:
        copies = files.copies(raw())
        differs = layer.raw_size - sum(copy.size for copy in copies)
        if differs * WORTH < layer.raw_size:
            yield from records(raw(), layer.raw_size, copies)

    # The number is the version of the format layer_delta.rebuilt reads.
    key = hashlib.sha256(f"delta 1 {layer.diff_id} {files.digest}".encode()).hexdigest()
    blob = store.derive(key, "gzip", delta)  # empty: not worth it
    return blob if blob.size else None


def find(
    host: Transport,
    root: str,
    base: DeltaBase,
    layers: Iterable[Blob],
    store: LayerStore,
    remaining: Callable[[Blob], int],
) -> dict[str, LayerDelta]:
    """Return the worthwhile deltas of layers a host lacks, by diff ID.

    Args:
        root: the engine's folder on the host, with overlay2 storage.
        base: the image to compare with.
        layers: the layers' compressed forms in the store.
        remaining: bytes of a layer or delta that still have to be sent.

    Raises:
        Error: the host cannot read its files.
        OSError: the store cannot be read or written.
    """
    layers = list(layers)
    limit = _MAX_RATIO * sum(layer.raw_size for layer in layers)
    settings = {"root": root, "chains": [*base.chains], "limit": limit}
    answer = host.run(program("layer_delta", settings, _COMPARE_TITLE))
    files = HostFiles(answer.checked(f"reading {base.name} on the host"))
    deltas = {}
    for layer in layers:
        blob = make(layer, files, store)
        if blob and remaining(blob) * WORTH < remaining(layer):
            size = layer.raw_size
            plain = Blob(layer.diff_id, "none", layer.diff_id, size, size)
            deltas[layer.diff_id] = LayerDelta(blob, plain, root, base.chains)
    return deltas
