"""Where an image's layers come from: the engine on this machine, or a saved archive."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import docker

from ..docker_engine.engine import local_engine
from ..errors import Error, Refused
from ..files import CHUNK, read_blocks
from ..images import image_name
from ..progress import Progress
from . import codec as codecs
from . import overlay
from .image_archive import Image
from .store import Blob, LayerStore


class Source(Protocol):
    """An image and access to its layers."""

    image: Image

    def fill(
        self, store: LayerStore, diff_ids: Iterable[str], codec: str, progress: Progress
    ) -> None:
        """Put layers into the store, compressed with ``codec`` or as they already are."""


def _copied(blocks: Iterable[bytes], progress: Progress, part: str) -> Iterator[bytes]:
    for block in blocks:
        progress.add(part, len(block))
        yield block


def names_of(requested: str, tags: Sequence[str]) -> tuple[str, ...]:
    """Return the requested name of an image; if an ID or digest was given, all its names.

    So hosts get no other names than the requested one.
    """
    familiar = requested.removeprefix("docker.io/").removeprefix("library/")
    found = next((tag for tag in (familiar, f"{familiar}:latest") if tag in tags), None)
    return (found,) if found else tuple(tags)


class EngineSource:
    """An image of this machine's engine, by name or ID."""

    def __init__(self, name: str, client: docker.DockerClient | None = None) -> None:
        image_name.to_find(name)
        self.client = client or local_engine()
        try:
            found = self.client.api.inspect_image(name)
        except docker.errors.ImageNotFound as error:
            raise Refused(
                f"no image {name} on this machine: build it (playbooks/build.yml) or load it "
                "(scripts/load_image.py); docker image ls lists all"
            ) from error
        self.image_id = str(found["Id"])
        self._info = self.client.info()
        self._diffs: list[str] = found["RootFS"].get("Layers") or []
        self._saved: SavedLayers | None = None
        config = overlay.config(self._info, found["Id"])
        if config is None:
            self._saved = SavedLayers.of(self.client, self.image_id)
            config = self._saved.image.config
        self.image = Image(config, names_of(name, found.get("RepoTags") or []))

    def fill(
        self, store: LayerStore, diff_ids: Iterable[str], codec: str, progress: Progress
    ) -> None:
        wanted = [diff_id for diff_id in dict.fromkeys(diff_ids) if not store.blob(diff_id, codec)]
        missing = [
            diff_id for diff_id in wanted if not self._direct(store, diff_id, codec, progress)
        ]
        if missing:
            progress.say("asking the engine to save the image (its files cannot be read directly)")
            self._saved = self._saved or SavedLayers.of(self.client, self.image_id)
            self._saved.fill(store, missing, codec, progress)

    def _direct(self, store: LayerStore, diff_id: str, codec: str, progress: Progress) -> bool:
        """Read a layer from the engine's files, as ``docker save`` would write all layers."""
        layer = overlay.find(self._info, self._diffs, diff_id)
        if layer is None:
            return False
        part = diff_id[7:19]
        progress.start(part, layer.size)
        try:
            store.ensure(diff_id, codec, lambda: _copied(layer.blocks(), progress, part))
        except (Error, OSError, ValueError) as error:
            progress.say(f"layer {part} cannot be read from the engine's files ({error})")
            return False
        return True

    def sizes(self) -> dict[str, int]:
        """Return the unpacked size of each layer; empty if history and layers do not match."""
        steps = self.image.parsed.get("history") or []
        history = reversed(self.client.api.history(self.image_id))
        sizes = [
            row["Size"]
            for row, step in zip(history, steps, strict=False)
            if not step.get("empty_layer")
        ]
        matched = len(sizes) == len(self.image.diff_ids)
        return dict(zip(self.image.diff_ids, sizes, strict=True)) if matched else {}

    def close(self) -> None:
        if self._saved:
            self._saved.close()


class SavedLayers:
    """A temporary ``docker save`` of the image."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str], archive: ArchiveSource) -> None:
        self._folder, self._archive, self.image = folder, archive, archive.image

    @classmethod
    def of(cls, client: docker.DockerClient, name: str) -> SavedLayers:
        folder = tempfile.TemporaryDirectory(prefix="ppocr-save.", dir=_large_folder())
        path = Path(folder.name) / "image.tar"
        with path.open("wb") as file:
            for block in client.api.get_image(name, chunk_size=CHUNK):
                file.write(block)
        return cls(folder, ArchiveSource(path))

    def fill(
        self, store: LayerStore, diff_ids: Iterable[str], codec: str, progress: Progress
    ) -> None:
        self._archive.fill(store, diff_ids, codec, progress)

    def close(self) -> None:
        self._folder.cleanup()


def _large_folder() -> str | None:
    """Return a folder for large temporary files, as /tmp is often in memory."""
    return "/var/tmp" if Path("/var/tmp").is_dir() else None  # noqa: S108


class ArchiveSource:
    """A file from ``docker save`` or scripts/save_image.py, compressed as a whole or not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._plain: tempfile.TemporaryDirectory[str] | None = None
        self._tar = self._open(path)
        try:
            self._describe()
        except BaseException:
            self.close()
            raise

    def _describe(self) -> None:
        """Read which image it is, and which of its files are layers."""
        path = self.path
        try:
            manifest = json.loads(self._read("manifest.json"))
            entry = manifest[0]
            config = self._read(entry["Config"])
            self.image = Image(config, tuple(entry.get("RepoTags") or ()))
            self._files = dict(zip(self.image.diff_ids, entry["Layers"], strict=True))
        except (KeyError, ValueError, IndexError, tarfile.TarError) as error:
            raise Refused(f"{path} is not a saved image: {error}") from error
        if len(manifest) > 1:
            names = ", ".join(str(each.get("RepoTags")) for each in manifest)
            raise Refused(f"{path} contains several images ({names}): save each to a separate file")
        named = Path(entry["Config"]).name.removesuffix(".json")
        if len(named) == 64 and named != self.image.id[7:]:
            raise Refused(f"{path}: the image's configuration was altered ({named[:12]})")

    def _open(self, path: Path) -> tarfile.TarFile:
        try:
            with path.open("rb") as file:
                codec = codecs.detect(file.read(4))
            if codec == "none":
                return tarfile.open(path)
            # Layers are not read in stored order, so a compressed archive is unpacked first.
            self._plain = tempfile.TemporaryDirectory(prefix="ppocr-archive.", dir=_large_folder())
            plain = Path(self._plain.name) / "image.tar"
            with path.open("rb") as packed, plain.open("wb") as file:
                for block in codecs.decompress(read_blocks(packed), codec):
                    file.write(block)
            return tarfile.open(plain)
        except (OSError, tarfile.TarError, Error) as error:
            raise Refused(f"{path} cannot be read as a saved image: {error}") from error

    def _member(self, name: str) -> Any:
        try:
            member = self._tar.getmember(name)
            if member.issym():  # engines before 25 link identical layers
                member = self._tar.getmember(str(Path(name).parent.joinpath(member.linkname)))
            stream = self._tar.extractfile(member)
        except tarfile.ReadError as error:
            raise Refused(f"{self.path} is truncated: {error}") from error
        if stream is None:
            raise Refused(f"{self.path}: {name} is not a file")
        return stream

    def _read(self, name: str) -> bytes:
        return bytes(self._member(name).read())

    def fill(
        self, store: LayerStore, diff_ids: Iterable[str], codec: str, progress: Progress
    ) -> None:
        try:
            for diff_id in dict.fromkeys(diff_ids):
                if not store.blob(diff_id, codec):
                    self._fill_one(store, diff_id, codec, progress)
        except KeyError as error:
            raise Refused(f"{self.path} lacks a layer: {error}") from error
        except Error as error:
            raise Refused(f"{self.path}: {error}") from error
        except (tarfile.TarError, EOFError) as error:
            raise Refused(f"{self.path} is truncated: {error}") from error

    def verify(self, progress: Progress) -> None:
        """Verify every layer's content; raises Refused if one is damaged or missing."""
        try:
            for diff_id in self.image.layers:
                self._verify_one(diff_id, progress)
        except KeyError as error:
            raise Refused(f"{self.path} lacks a layer: {error}") from error
        except (Error, tarfile.TarError, EOFError) as error:
            raise Refused(f"{self.path}: {error}") from error

    def _verify_one(self, diff_id: str, progress: Progress) -> None:
        stream = self._member(self._files[diff_id])
        codec = codecs.detect(stream.read(4))
        part, size = diff_id[7:19], stream.seek(0, 2)
        stream.seek(0)
        progress.start(part, size)
        digest = hashlib.sha256()
        for block in codecs.decompress(_copied(read_blocks(stream), progress, part), codec):
            digest.update(block)
        if f"sha256:{digest.hexdigest()}" != diff_id:
            raise Refused(f"{self.path}: layer {part} was altered")

    def _fill_one(self, store: LayerStore, diff_id: str, codec: str, progress: Progress) -> None:
        stream = self._member(self._files[diff_id])
        found = codecs.detect(stream.read(4))
        stream.seek(0)
        part = diff_id[7:19]
        progress.start(part, stream.seek(0, 2))
        stream.seek(0)
        blocks = _copied(read_blocks(stream), progress, part)
        if found == "none":
            store.ensure(diff_id, codec, lambda: blocks)
        elif found in ("gzip", codec):
            store.adopt(diff_id, found, blocks)
        else:
            store.ensure(diff_id, codec, lambda: codecs.decompress(blocks, found))

    def close(self) -> None:
        self._tar.close()
        if self._plain:
            self._plain.cleanup()


@contextlib.contextmanager
def open_source(name: str) -> Iterator[EngineSource | ArchiveSource]:
    """Open an image by name, or a saved one by its path."""
    source = ArchiveSource(Path(name)) if Path(name).is_file() else EngineSource(name)
    try:
        yield source
    finally:
        source.close()


def blobs_of(
    store: LayerStore, image: Image, codec: str, other: str | None = None
) -> dict[str, Blob]:
    """Return the stored layers of an image, in the requested codec or another.

    Args:
        other: the codec taken instead; None for any.
    """
    found = {d: store.blob(d, codec) or store.blob(d, other) for d in image.diff_ids}
    return {diff_id: blob for diff_id, blob in found.items() if blob}
