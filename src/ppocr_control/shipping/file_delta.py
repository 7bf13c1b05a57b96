"""A big layer sent as what differs from files the host has: the case of ``docker commit``, where a
changed file makes a new layer of everything that was ever changed.

The host says what the files of its nearest image hold (onhost/layer_delta.py); the new layer's tar
is written as copies of those and, compressed, what is in none of them. On the host it goes back
together on its way into ``docker load``, which knows a layer by the sha256 of all its bytes. Hosts
with the same files share a delta. Method: rsync's, with blocks in fixed places, on the files inside
the tar.
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
from ..layers import codec as codecs
from ..layers.image_archive import chain_ids, split_name
from ..layers.store import Blob, LayerStore
from ..ssh.python import program
from ..ssh.transport import CHUNK, Transport
from .on_host import layer_delta

#: Layers below this many bytes, unpacked, are sent faster than they are compared.
SMALLEST = 64 << 20
#: A delta has to be so many times smaller than what would be sent without it.
WORTH = 3
#: Files on the host are read where they are no more than so many times the layers it lacks.
_REACH = 4
#: tarfile copies what is left of a block with every header it reads.
_TAR_BLOCK = 32 << 10
#: What ps shows on the host.
_READS, REBUILDS = "ppocr-compare", "ppocr-rebuild"


@dataclass(frozen=True)
class LayerDelta:
    """A layer as it is sent to hosts that have those files.

    Attributes:
        blob: the delta, as the store keeps it.
        layer: the layer as it is rebuilt, not compressed.
        root: the engine's folder on the host.
        chains: chain IDs of the layers there whose files are copied.
    """

    blob: Blob
    layer: Blob
    root: str
    chains: tuple[str, ...]

    def script(self, path: str) -> str:
        """Shell that writes the layer to standard output, from the delta at ``path``."""
        settings = {"root": self.root, "chains": [*self.chains], "delta": path}
        return program("layer_delta", settings, REBUILDS)


@dataclass(frozen=True)
class Neighbour:
    """An image on the host that the new one is likely to resemble."""

    name: str
    chains: tuple[str, ...]


def neighbour(
    images: Iterable[dict[str, Any]], diff_ids: Sequence[str], names: Iterable[str]
) -> Neighbour | None:
    """The image whose own layers are worth comparing with: of the same name, else on the same base.

    Args:
        images: what the host has, as HostState knows it.
        diff_ids: the layers of the new image.
        names: what the new image is called.
    """
    repositories = {split_name(name)[0] for name in names}

    def rank(image: dict[str, Any]) -> tuple[bool, int, str]:
        same = any(split_name(tag)[0] in repositories for tag in image["tags"] or [])
        return same, _shared(image["layers"] or [], diff_ids), str(image["created"])

    for image in sorted(images, key=rank, reverse=True):
        same, shared, _ = rank(image)
        chains = chain_ids(image["layers"] or [])[shared:]
        if chains and (same or shared):
            return Neighbour(next(iter(image["tags"] or []), image["id"][7:19]), tuple(chains))
    return None


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many layers two images have in common, from the lowest on."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


@dataclass(frozen=True)
class Copy:
    """Bytes of the new layer's tar, from ``start`` on, that a file on the host holds."""

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
        """Both as one, where the other goes on where this one ends."""
        ends = (self.start + self.size, self.layer, self.path, self.offset + self.size)
        if ends != (other.start, other.layer, other.path, other.offset):
            return None
        return Copy(self.start, self.size + other.size, self.layer, self.path, self.offset)


class HeldFiles:
    """What files on a host hold, as it said."""

    def __init__(self, said: str) -> None:
        """Raises Error where that is no index."""
        self._blocks: dict[str, tuple[int, bytes, int]] = {}
        try:
            text = zlib.decompress(base64.b64decode(said))
            for number, rows in enumerate(json.loads(text)):
                for path, size, digests in rows:
                    self._add(number, path.encode("latin-1"), size, digests)
        except (ValueError, zlib.error) as error:
            raise Error(f"what it says of its files cannot be read: {error}") from error
        self.digest = hashlib.sha256(text).hexdigest()

    def _add(self, number: int, path: bytes, size: int, digests: str) -> None:
        for n in range(-(-size // layer_delta.BLOCK)):
            name = digests[2 * layer_delta.DIGEST * n : 2 * layer_delta.DIGEST * (n + 1)]
            self._blocks.setdefault(name, (number, path, n * layer_delta.BLOCK))

    def copies(self, blocks: Iterable[bytes]) -> list[Copy]:
        """What of a layer's tar the host has.

        Raises:
            Error: it is no tar.
        """
        found: list[Copy] = []
        stream = cast(IO[bytes], _Reader(blocks))
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
            held = self._blocks.get(layer_delta.digest(piece))
            if held:
                one = Copy(start, len(piece), *held)
                joined = found[-1].joined(one) if found else None
                found[-1:] = [joined] if joined else [*found[-1:], one]
            start += len(piece)


class _Reader:
    """Blocks read as a file."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self._held = iter(blocks), memoryview(b"")

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""
        parts = []
        while size:
            self._held = self._held or memoryview(next(self._blocks, b""))
            if not self._held:
                break
            parts.append(self._held[:size])
            size -= len(parts[-1])
            self._held = self._held[len(parts[-1]) :]
        return b"".join(parts)

    def parts(self, size: int) -> Iterator[bytes]:
        """The next ``size`` bytes, in blocks."""
        while size and (block := self.read(min(size, CHUNK))):
            size -= len(block)
            yield block


def records(blocks: Iterable[bytes], size: int, copies: Iterable[Copy]) -> Iterator[bytes]:
    """The delta of a layer of ``size`` bytes, not compressed; layer_delta.rebuilt reads it."""
    stream, at = _Reader(blocks), 0
    for copy in copies:
        yield from _literal(stream, copy.start - at)
        for _ in stream.parts(copy.size):
            pass
        yield copy.record
        at = copy.start + copy.size
    yield from _literal(stream, size - at)


def _literal(stream: _Reader, size: int) -> Iterator[bytes]:
    for block in stream.parts(size):
        yield b"= %d\n" % len(block)
        yield block


def make(layer: Blob, held: HeldFiles, store: LayerStore) -> Blob | None:
    """The delta of a layer the store has, made once for hosts with the same files.

    Returns:
        None where so much differs that it would not pay.
    """

    def raw() -> Iterator[bytes]:
        with store.path(layer).open("rb") as file:
            yield from codecs.decompress(iter(lambda: file.read(CHUNK), b""), layer.codec)

    def delta() -> Iterator[bytes]:
        copies = held.copies(raw())
        differs = layer.raw_size - sum(copy.size for copy in copies)
        if differs * WORTH < layer.raw_size:
            yield from records(raw(), layer.raw_size, copies)

    # The number is that of the format layer_delta.rebuilt reads.
    key = hashlib.sha256(f"delta 1 {layer.diff_id} {held.digest}".encode()).hexdigest()
    blob = store.derive(key, "gzip", delta)  # an empty one keeps that it does not pay
    return blob if blob.size else None


def find(
    host: Transport,
    root: str,
    near: Neighbour,
    layers: Iterable[Blob],
    store: LayerStore,
    left: Callable[[Blob], int],
) -> dict[str, LayerDelta]:
    """Deltas of layers a host lacks, by diff ID, where they pay.

    Args:
        root: the engine's folder on the host, whose store is overlay2.
        near: what to compare with.
        layers: their compressed forms, which the store has.
        left: bytes of a layer or delta that are not on the host from an earlier try.

    Raises:
        Error: the host cannot say what its files hold.
        OSError: the store cannot be read or written.
    """
    layers = list(layers)
    limit = _REACH * sum(layer.raw_size for layer in layers)
    settings = {"root": root, "chains": [*near.chains], "limit": limit}
    asked = host.run(program("layer_delta", settings, _READS))
    held = HeldFiles(asked.checked(f"reading {near.name} there"))
    deltas = {}
    for layer in layers:
        blob = make(layer, held, store)
        if blob and left(blob) * WORTH < left(layer):
            size = layer.raw_size
            plain = Blob(layer.diff_id, "none", layer.diff_id, size, size)
            deltas[layer.diff_id] = LayerDelta(blob, plain, root, near.chains)
    return deltas
