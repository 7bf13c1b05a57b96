"""Compressed layers on the control node, named by their content: made once for any number of hosts.

configs/<image id>          an image's configuration, as its engine gave it
layers/<diff id>.json       size of the layer and its compressed forms
blobs/<sha256>              a compressed layer, or a delta (layerdelta.py), listed like one
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import Error
from . import codec as codecs

_NAMED = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Blob:
    """A compressed layer: sha256 of the compressed bytes, and their number."""

    diff_id: str
    codec: str
    digest: str
    size: int
    raw_size: int


def hexdigest(name: str) -> str:
    """What follows ``sha256:``."""
    return name.removeprefix("sha256:")


class LayerStore:
    """Several processes may use one store at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("configs", "layers", "blobs"):
            self._make(folder / name)

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            self._hand_over(folder)

    def _hand_over(self, path: Path) -> None:
        """What root makes in a user's cache is to stay the user's."""
        if os.geteuid() == 0:
            owner = self.folder.parent.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    def path(self, blob: Blob) -> Path:
        return self.folder / "blobs" / hexdigest(blob.digest)

    def config(self, image_id: str) -> bytes | None:
        path = self.folder / "configs" / hexdigest(image_id)
        return path.read_bytes() if path.is_file() else None

    def keep_config(self, data: bytes) -> str:
        """Keep an image's configuration; returns the image's ID."""
        digest = hashlib.sha256(data).hexdigest()
        self._write(self.folder / "configs" / digest, data)
        return f"sha256:{digest}"

    def blob(self, diff_id: str, codec: str | None = None) -> Blob | None:
        """The layer compressed with a codec (any that is kept, gzip first, for None)."""
        kept = self._forms(diff_id)
        names = [codec] if codec else sorted(kept)
        for name in names:
            if name in kept and self.path(kept[name]).is_file():
                return kept[name]
        return None

    def _forms(self, diff_id: str) -> dict[str, Blob]:
        path = self.folder / "layers" / f"{hexdigest(diff_id)}.json"
        if not path.is_file():
            return {}
        return {name: Blob(**form) for name, form in json.loads(path.read_text()).items()}

    def _write(self, path: Path, data: bytes) -> None:
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(data)
        self._hand_over(part)
        part.rename(path)

    @contextlib.contextmanager
    def _alone(self, diff_id: str) -> Iterator[None]:
        """Two shipments that need one layer compress it once."""
        path = self.folder / "layers" / f"{hexdigest(diff_id)}.lock"
        with path.open("a") as handle:
            self._hand_over(path)
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def ensure(self, diff_id: str, codec: str, raw: Callable[[], Iterable[bytes]]) -> Blob:
        """The layer compressed with ``codec``, made from its raw bytes where it is missing.

        Raises:
            Error: the bytes are not those of this layer.
        """
        with self._alone(diff_id):
            found = self.blob(diff_id, codec)
            return found or self._keep(diff_id, codec, raw(), compressed=False)

    def derive(self, key: str, codec: str, raw: Callable[[], Iterable[bytes]]) -> Blob:
        """Bytes made from layers, compressed; ``key`` is a sha256 of what they were made from."""
        with self._alone(key):
            found = self.blob(key, codec)
            return found or self._keep(key, codec, raw(), compressed=False, proved=False)

    def adopt(self, diff_id: str, codec: str, blocks: Iterable[bytes]) -> Blob:
        """Keep a layer that comes compressed already, once its content is proved."""
        with self._alone(diff_id):
            return self.blob(diff_id, codec) or self._keep(diff_id, codec, blocks, compressed=True)

    def _keep(
        self,
        diff_id: str,
        codec: str,
        blocks: Iterable[bytes],
        compressed: bool,
        proved: bool = True,
    ) -> Blob:
        plain, packed = hashlib.sha256(), hashlib.sha256()
        raw_size = size = 0
        part = self.folder / "blobs" / f"{hexdigest(diff_id)}.{codec}.part"

        def counted(source: Iterable[bytes]) -> Iterator[bytes]:
            nonlocal raw_size
            for block in source:
                plain.update(block)
                raw_size += len(block)
                yield block

        try:
            with part.open("wb") as file:

                def written(source: Iterable[bytes]) -> Iterator[bytes]:
                    nonlocal size
                    for block in source:
                        file.write(block)
                        packed.update(block)
                        size += len(block)
                        yield block

                if compressed:
                    chain = counted(codecs.decompress(written(blocks), codec))
                else:
                    chain = written(codecs.compress(counted(blocks), codec))
                for _ in chain:
                    pass
            if proved and f"sha256:{plain.hexdigest()}" != diff_id:
                raise Error(
                    f"layer {hexdigest(diff_id)[:12]} has sha256 {plain.hexdigest()[:12]} instead: "
                    "truncated or altered"
                )
            digest = packed.hexdigest()
            self._hand_over(part)
            part.rename(self.folder / "blobs" / digest)
        finally:
            part.unlink(missing_ok=True)
        blob = Blob(diff_id, codec, f"sha256:{digest}", size, raw_size)
        forms = {name: asdict(form) for name, form in self._forms(diff_id).items()}
        forms[codec] = asdict(blob)
        text = json.dumps(forms, sort_keys=True).encode()
        self._write(self.folder / "layers" / f"{hexdigest(diff_id)}.json", text)
        return blob

    def touch(self, blob: Blob) -> None:
        """Note that a layer was used, so that it is kept longest."""
        with contextlib.suppress(OSError):
            os.utime(self.path(blob))

    def prune(self, limit: int, keep: Iterable[str] = ()) -> int:
        """Remove the layers unused longest until ``limit`` bytes are left; returns bytes removed.

        Digests in ``keep`` stay, and so does what was used within the last hour. Files that the
        store does not list are somebody else's: they are neither counted nor removed.
        """
        kept = {hexdigest(digest) for digest in keep}
        files = sorted(self._own_files(), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in files)
        removed = 0
        for path in files:
            if total - removed <= limit:
                break
            if path.name in kept or path.stat().st_mtime > time.time() - 3600:
                continue
            removed += path.stat().st_size
            path.unlink()
        return removed

    def _own_files(self) -> list[Path]:
        """The compressed layers that are listed, and what a killed run left of one."""
        layers = self.folder / "layers"
        listed = (path for path in layers.glob("*.json") if _NAMED.fullmatch(path.stem))
        names = {
            hexdigest(form.digest) for path in listed for form in self._forms(path.stem).values()
        }
        begun = [path.stem for path in layers.glob("*.lock") if _NAMED.fullmatch(path.stem)]
        names |= {f"{name}.{codec}.part" for name in begun for codec in codecs.MEDIA_TYPES}
        paths = (self.folder / "blobs" / name for name in names)
        return [path for path in paths if path.is_file() and not path.is_symlink()]
