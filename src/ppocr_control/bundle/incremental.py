"""Bundles without the files of an earlier one, and combining both again."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import Refused
from ..files import file_sha256, read_blocks
from ..layers import image_archive
from ..layers.image_archive import Image
from ..layers.source import ArchiveSource
from ..layers.store import Blob, LayerStore, hexdigest
from ..progress import Progress
from . import lists, manifest, tree


def layers(image: Image, blobs: dict[str, Blob]) -> list[dict[str, Any]]:
    """Return an image's compressed layers for a manifest, lowest first."""
    return [asdict(blobs[diff_id]) for diff_id in image.layers]


def _blobs(described: dict[str, Any]) -> dict[str, Blob]:
    return {layer["diff_id"]: Blob(**layer) for layer in described["image"]["layers"]}


def leave_out(
    folder: Path, described: dict[str, Any], old: dict[str, Any], store: LayerStore
) -> dict[str, Any]:
    """Remove the files of an earlier bundle from a new one; return ``since`` for its manifest."""
    known = {entry["sha256"] for entry in old["files"].values()}
    absent = [name for name, entry in described["files"].items() if entry["sha256"] in known]
    path = described["image"]["path"]
    delta = None
    if path not in absent:
        delta = f"{path}.layers"
        _write_delta(folder, described, old, store, delta)
        absent.append(path)
    for name in absent:
        (folder / name).unlink()
    described["files"] |= (
        manifest.describe(folder, [delta], Progress("hashing", quiet=True)) if delta else {}
    )
    return {"created": old["created"], "image_delta": delta, "absent": sorted(absent)}


def _write_delta(
    folder: Path, described: dict[str, Any], old: dict[str, Any], store: LayerStore, delta: str
) -> None:
    known = {layer["digest"] for layer in old["image"]["layers"]}
    source = ArchiveSource(folder / described["image"]["path"])
    try:
        with (folder / delta).open("wb") as file:
            config = source.image.config
            file.write(image_archive.header("config", len(config)) + config)
            file.write(image_archive.padding(len(config)))
            for blob in _blobs(described).values():
                if blob.digest not in known:
                    file.write(image_archive.layer_header(blob))
                    with store.path(blob).open("rb") as layer:
                        shutil.copyfileobj(layer, file)
                    file.write(image_archive.padding(blob.size))
            file.write(image_archive.TRAILER)
    finally:
        source.close()


def complete(new: Path, old: Path, output: Path, progress: Progress) -> dict[str, Any]:
    """Combine an incremental bundle with the one it builds on; return the manifest.

    Raises:
        Refused: they do not belong together, or a file is altered.
    """
    described, before = manifest.read(new), manifest.read(old)
    since = described.get("since")
    if not since:
        raise Refused(f"{new} is complete: it needs no other bundle")
    if os.path.lexists(output):
        raise Refused(f"{output} already exists: choose a new folder")
    by_digest = {entry["sha256"]: name for name, entry in before["files"].items()}
    output.mkdir(parents=True)
    try:
        for name, entry in described["files"].items():
            if name == since["image_delta"]:
                continue
            if name == described["image"]["path"] and since["image_delta"]:
                _join(new, old, output, described, before)
                continue
            if name not in since["absent"]:
                _link(new, name, output / name)
                continue
            if entry["sha256"] not in by_digest:
                raise Refused(f"{old} is not the bundle {new} builds on: it lacks {name}")
            _link(old, by_digest[entry["sha256"]], output / name)
        for name in lists.INDEX_FILES:
            if (new / name).is_file():
                _link(new, name, output / name)
        problems = manifest.problems(output, described, progress)
        if problems:
            raise Refused("; ".join(problems[:5]))
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise
    return described


def _link(folder: Path, name: str, target: Path) -> None:
    """Hard-link a file of a bundle; copy it if that is not possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tree.opened(folder, name) as origin:
        try:
            os.link(folder / name, target, follow_symlinks=False)
            if os.path.samestat(target.lstat(), os.fstat(origin.fileno())):
                return
            target.unlink()
        except OSError:
            target.unlink(missing_ok=True)
        with target.open("xb") as copy:
            shutil.copyfileobj(origin, copy)


def _join(
    new: Path, old: Path, output: Path, described: dict[str, Any], before: dict[str, Any]
) -> None:
    """Write the new image's archive from the layers of both bundles."""
    target = output / described["image"]["path"]
    target.parent.mkdir(parents=True, exist_ok=True)
    blobs = _blobs(described)
    with (
        tree.opened(new, described["since"]["image_delta"]) as added_file,
        tree.opened(old, before["image"]["path"]) as old_file,
        tarfile.open(fileobj=added_file) as added,
        tarfile.open(fileobj=old_file) as existing,
        target.open("wb") as file,
    ):
        config = added.extractfile("config")
        image = Image(config.read() if config else b"{}")

        def blocks(blob: Blob) -> Iterator[bytes]:
            name = f"blobs/sha256/{hexdigest(blob.digest)}"
            for archive in (added, existing):
                if name in archive.getnames():
                    stream = archive.extractfile(name)
                    if stream:
                        yield from read_blocks(stream)
                        return
            raise Refused(f"neither bundle contains layer {blob.digest[7:19]}")

        parts = ((blob, blocks(blob)) for blob in blobs.values())
        for block in image_archive.write(image, blobs, [described["image"]["tag"]], parts):
            file.write(block)
    if file_sha256(target) != described["files"][described["image"]["path"]]["sha256"]:
        raise Refused(f"{target.name}, combined from both bundles, has a wrong sha256")
