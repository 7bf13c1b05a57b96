"""Saves an image to a file and loads one, with the engine of this machine."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import docker

from ..docker_engine.engine import local_engine
from ..errors import Error, Refused
from ..files import CHUNK, file_sha256, read_blocks
from ..images import image_name
from ..progress import Progress
from . import image_archive
from .codec import detect
from .image_archive import ARCHITECTURES, UNPACK_ERROR, Image
from .source import ArchiveSource, EngineSource, Source, blobs_of, names_of
from .store import LayerStore


def _write(blocks: Iterable[bytes], output: Path) -> dict[str, Any]:
    """Write a file atomically; return its path, size and sha256."""
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f".{output.name}.part")
    digest, size = hashlib.sha256(), 0
    try:
        with part.open("wb") as file:
            for block in blocks:
                file.write(block)
                digest.update(block)
                size += len(block)
        part.rename(output)
    except OSError as error:
        raise Error(f"cannot write {output}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return {"path": str(output), "size": size, "sha256": digest.hexdigest()}


def save_plain(name: str, output: Path, progress: Progress) -> dict[str, Any]:
    """``docker save`` with progress. Raises Refused if there is no such image.

    The file contains the given name; if an ID was given, all names of the image.
    """
    image_name.to_find(name)
    client = local_engine()
    try:
        found = client.api.inspect_image(name)
    except docker.errors.ImageNotFound as error:
        raise Refused(f"no image {name} on this machine") from error
    progress.start(name, found["Size"])

    # A repository without a tag would stand for all its images.
    wanted = names_of(name, found.get("RepoTags") or []) or (found["Id"],)

    def blocks() -> Iterator[bytes]:
        url = f"{client.api.base_url}/v{client.api.api_version}/images/get"
        with client.api.get(url, params={"names": wanted}, stream=True) as answer:
            answer.raise_for_status()
            for block in answer.iter_content(CHUNK):
                progress.add(name, len(block))
                yield block

    return {**_write(blocks(), output), "image_id": found["Id"]}


def write_packed(
    source: Source, tags: Iterable[str], output: Path, store: LayerStore, progress: Progress
) -> dict[str, Any]:
    """Write an archive with gzip layers, which ``docker load`` of every engine accepts.

    The same image always gives the same bytes.
    """
    image = source.image
    source.fill(store, image.diff_ids, "gzip", progress)
    blobs = blobs_of(store, image, "gzip")
    unique = image.layers

    def parts() -> Iterator[tuple[Any, Iterator[bytes]]]:
        for diff_id in unique:
            with store.path(blobs[diff_id]).open("rb") as file:
                yield blobs[diff_id], read_blocks(file)

    saved = _write(image_archive.write(image, blobs, list(tags), parts()), output)
    return {**saved, "image_id": image.id}


def save_packed(name: str, output: Path, store: LayerStore, progress: Progress) -> dict[str, Any]:
    """Save an image of this machine's engine with gzip layers."""
    source = EngineSource(name)
    try:
        return write_packed(source, source.image.tags, output, store, progress)
    finally:
        source.close()


def verify(path: Path, progress: Progress) -> Image:
    """Verify every layer of a saved image against its configuration.

    Raises:
        Refused: truncated or altered.
    """
    source = ArchiveSource(path)
    try:
        source.verify(progress)
        return source.image
    finally:
        source.close()


def load(path: Path, sha256: str | None, tag: str | None, progress: Progress) -> dict[str, Any]:
    """Load a saved image, and verify that the engine has it.

    Raises:
        Refused: no such file, altered, truncated, another architecture, or an invalid name.
        Error: the engine did not accept it.
    """
    if tag is not None:
        image_name.for_new(tag)
    if not path.is_file():
        raise Refused(f"the file {path} does not exist")
    if sha256:
        _compare(path, sha256)
    image = verify(path, progress)
    client = local_engine()
    kernel = client.info().get("Architecture") or platform.machine()
    machine = ARCHITECTURES.get(kernel, kernel)
    if image.architecture != machine:
        raise Refused(
            f"{path} is for {image.architecture}, this machine is {machine}: it would not run"
        )
    changed = not _present(client, image)
    if changed:
        _load(client, path)
        if not _present(client, image):
            raise Error(f"{path}: the engine now has another image than the file contains")
    for name in [tag] if tag else image.tags:
        changed = _tag(client, image, name) or changed
    return {"image_id": image.id, "tags": [tag] if tag else list(image.tags), "changed": changed}


def _compare(path: Path, sha256: str) -> None:
    found = file_sha256(path)
    if found != sha256.lower().strip():
        raise Refused(f"{path} has sha256 {found}, expected {sha256}: truncated or altered")


def _present(client: docker.DockerClient, image: Image) -> str | None:
    """Return the engine's ID of an image, by its ID or, where IDs differ, its layers."""
    for reference in (image.id, *image.tags):
        try:
            found = client.api.inspect_image(reference)
        except docker.errors.ImageNotFound:
            continue
        if found["Id"] == image.id or (
            found["RootFS"].get("Layers") == image.diff_ids
            and found["Created"] == image.parsed.get("created")
        ):
            return str(found["Id"])
    return None


def _load(client: docker.DockerClient, path: Path) -> None:
    with path.open("rb") as file:
        compressed = detect(file.read(4)) != "none"
        file.seek(0)
        try:
            output = list(client.api.load_image(file, quiet=not compressed))
        except docker.errors.APIError as error:
            raise Error(f"docker load: {error.explanation or error}") from error
    problems = [line for line in output if "error" in line or UNPACK_ERROR in json.dumps(line)]
    if problems:
        raise Error(f"docker load: {problems[-1]}")


def _tag(client: docker.DockerClient, image: Image, name: str) -> bool:
    found = _present(client, image)
    try:
        if client.api.inspect_image(name)["Id"] == found:
            return False
    except docker.errors.ImageNotFound:
        pass
    client.api.tag(found, *image_name.for_new(name))
    return True
