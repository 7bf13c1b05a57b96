"""The store of compressed layers on the control node, made once for any number of hosts.

configs/<image id>          an image's configuration, as its engine gave it
layers/<diff id>.json       size of the layer and its compressed forms
blobs/<sha256>              a compressed layer, or a delta (file_delta.py), listed like one
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

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Blob:
    """A compressed layer: sha256 and size of the compressed bytes, and its unpacked size."""

    diff_id: str
    codec: str
    digest: str
    size: int
    raw_size: int


def hexdigest(name: str) -> str:
    """Return a digest without ``sha256:``."""
    return name.removeprefix("sha256:")


class LayerStore:
    """A store of layers, safe for several processes at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("configs", "layers", "blobs"):
            self._make(folder / name)

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            self._hand_over(folder)

    def _hand_over(self, path: Path) -> None:
        """Keep files that root creates in a user's cache owned by the user."""
        if os.geteuid() == 0:
            owner = self.folder.parent.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    def path(self, blob: Blob) -> Path:
        return self.folder / "blobs" / hexdigest(blob.digest)

    def config(self, image_id: str) -> bytes | None:
        path = self.folder / "configs" / hexdigest(image_id)
        return path.read_bytes() if path.is_file() else None

    def keep_config(self, data: bytes) -> str:
        """Store an image's configuration; return the image's ID."""
        digest = hashlib.sha256(data).hexdigest()
        self._write(self.folder / "configs" / digest, data)
        return f"sha256:{digest}"

    def blob(self, diff_id: str, codec: str | None = None) -> Blob | None:
        """Return the layer compressed with a codec; for None with any, gzip preferred."""
        stored = self._forms(diff_id)
        names = [codec] if codec else sorted(stored)
        for name in names:
            if name in stored and self.path(stored[name]).is_file():
                return stored[name]
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
    def _locked(self, diff_id: str) -> Iterator[None]:
        """Lock a layer, so that two runs that need it compress it once."""
        path = self.folder / "layers" / f"{hexdigest(diff_id)}.lock"
        with path.open("a") as handle:
            self._hand_over(path)
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def ensure(self, diff_id: str, codec: str, raw: Callable[[], Iterable[bytes]]) -> Blob:
        """Return the layer compressed with ``codec``; if missing, compress its raw bytes.

        Raises:
            Error: the bytes are not those of this layer.
        """
        with self._locked(diff_id):
            found = self.blob(diff_id, codec)
            return found or self._keep(diff_id, codec, raw(), compressed=False)

    def derive(self, key: str, codec: str, raw: Callable[[], Iterable[bytes]]) -> Blob:
        """Store data derived from layers, compressed; ``key`` is a sha256 over its inputs."""
        with self._locked(key):
            found = self.blob(key, codec)
            return found or self._keep(key, codec, raw(), compressed=False, verified=False)

    def adopt(self, diff_id: str, codec: str, blocks: Iterable[bytes]) -> Blob:
        """Store a layer that is already compressed, after verifying its content."""
        with self._locked(diff_id):
            return self.blob(diff_id, codec) or self._keep(diff_id, codec, blocks, compressed=True)

    def _keep(
        self,
        diff_id: str,
        codec: str,
        blocks: Iterable[bytes],
        compressed: bool,
        verified: bool = True,
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
            if verified and f"sha256:{plain.hexdigest()}" != diff_id:
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
        """Mark a layer as used, so that it is removed last."""
        with contextlib.suppress(OSError):
            os.utime(self.path(blob))

    def prune(self, limit: int, keep: Iterable[str] = ()) -> int:
        """Remove the least recently used layers above ``limit`` bytes; return the bytes removed.

        Digests in ``keep`` and layers used within the last hour stay. Files that the store does not
        list are not its own: they are neither counted nor removed.
        """
        protected = {hexdigest(digest) for digest in keep}
        files = sorted(self._listed_files(), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in files)
        removed = 0
        for path in files:
            if total - removed <= limit:
                break
            if path.name in protected or path.stat().st_mtime > time.time() - 3600:
                continue
            removed += path.stat().st_size
            path.unlink()
        return removed

    def _listed_files(self) -> list[Path]:
        """Return the listed compressed layers, and partial files of killed runs."""
        layers = self.folder / "layers"
        listed = (path for path in layers.glob("*.json") if _HEX_DIGEST.fullmatch(path.stem))
        names = {
            hexdigest(form.digest) for path in listed for form in self._forms(path.stem).values()
        }
        begun = [path.stem for path in layers.glob("*.lock") if _HEX_DIGEST.fullmatch(path.stem)]
        names |= {f"{name}.{codec}.part" for name in begun for codec in codecs.MEDIA_TYPES}
        paths = (self.folder / "blobs" / name for name in names)
        return [path for path in paths if path.is_file() and not path.is_symlink()]
