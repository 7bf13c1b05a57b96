"""The state of a host: its engine, images, staging folder and disk space."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import Refused
from ..layers.image_archive import ARCHITECTURES, Image, chain_ids
from ..layers.store import Blob, hexdigest
from ..ssh.transport import Transport
from . import staging as stagings
from .engines import DOCKER, Engine, familiar_name

CLASSIC, CONTAINERD = "classic", "containerd"
_STAGED_AND_FREE = r"""
staging=@STAGING@
find "$staging" -mindepth 2 -type f -printf 'staged\t%s %P\n' 2>/dev/null
parent=$staging
while [ ! -d "$parent" ]; do parent=$(dirname "$parent"); done
[ -d "$root" ] || root=$parent
df --block-size=1 --output=target,avail "$parent" "$root" | tail -n +2 |
  while IFS= read -r line; do report df "$line"; done
"""


def _images(rows: Iterable[str]) -> tuple[dict[str, Any], ...]:
    # docker image inspect prints an empty line where it finds nothing.
    return tuple(_image(json.loads(line)) for line in rows if line.strip())


def _image(reported: dict[str, Any]) -> dict[str, Any]:
    """Return an image in Docker's words; containerd has one for each of its names."""
    if "config" not in reported:
        return reported
    config = reported["config"]
    return {
        "id": reported["id"],
        "config_id": reported["config_id"],
        "layers": (config.get("rootfs") or {}).get("diff_ids"),
        "tags": [familiar_name(reported["ref"])],
        "created": config.get("created"),
        "labels": (config.get("config") or {}).get("Labels"),
    }


@dataclass(frozen=True)
class HostState:
    """The state of a host: its engine, images, staging folder and disk space."""

    version: str
    architecture: str
    store: str
    images: tuple[dict[str, Any], ...]
    content: frozenset[str]
    staged: dict[str, int]
    df: tuple[str, ...]
    tags: dict[str, str] = field(default_factory=dict)
    #: The engine's folder if it stores layers as files (overlay2), else empty.
    files_root: str = ""
    engine: Engine = DOCKER

    @classmethod
    def parse(cls, text: str) -> HostState:
        """Parse the probe's output."""
        rows: dict[str, list[str]] = {}
        for line in text.splitlines():
            key, _, value = line.partition("\t")
            rows.setdefault(key, []).append(value)
        info = json.loads(rows["info"][0])
        images = _images(rows.get("image", []))
        containerd = any(
            "containerd" in str(part) for row in info.get("DriverStatus") or [] for part in row
        )
        staged = (line.split(" ", 1) for line in rows.get("staged", []))
        return cls(
            version=rows["version"][0],
            architecture=ARCHITECTURES.get(info["Architecture"], info["Architecture"]),
            store=CONTAINERD if containerd else CLASSIC,
            images=images,
            content=frozenset(rows.get("content", [])),
            staged={path: int(size) for size, path in staged},
            df=tuple(rows.get("df", [])),
            tags={tag: image["id"] for image in images for tag in image["tags"] or []},
            files_root=info.get("DockerRootDir", "") if info.get("Driver") == "overlay2" else "",
        )

    def find(self, image: Image) -> str | None:
        """Return the ID an image has on the host, by configuration or layers; None if missing."""
        found = (str(each["id"]) for each in self.images if self._same(each, image))
        return next(found, None)

    def _same(self, existing: dict[str, Any], image: Image) -> bool:
        return bool(
            image.id in (existing["id"], existing.get("config_id"))
            or (
                self.store == CONTAINERD
                and existing["layers"] == image.diff_ids
                and existing["created"] == image.parsed.get("created")
                and (existing["labels"] or {}) == image.labels
            )
        )

    def check_architecture(self, name: str, image: Image) -> None:
        """Raise Refused if the image would not run on the host."""
        if image.architecture != self.architecture:
            raise Refused(
                f"{name}: the image is for {image.architecture}, the host is {self.architecture}: "
                "it would be loaded, and would not run. Nothing was sent"
            )

    def remaining(self, image: Image, blob: Blob) -> int:
        """Return the bytes of an image's layer that are not in the staging folder yet."""
        name = f"{hexdigest(image.id)[:16]}/{hexdigest(blob.digest)}"
        return blob.size - min(self.staged.get(name, 0), blob.size)

    def with_images(self, text: str) -> HostState:
        """Return this state with the images a script reported."""
        rows = (line.partition("\t") for line in text.splitlines())
        return replace(self, images=_images(value for key, _, value in rows if key == "image"))

    def missing(self, image: Image, blobs: dict[str, Blob]) -> list[str]:
        """Return the layers the host lacks, lowest first.

        Args:
            image: the image to send.
            blobs: compressed forms known so far; containerd's store finds a layer only by the
                digest of its compressed form.
        """
        if self.store == CONTAINERD:
            present = {d for d, blob in blobs.items() if blob.digest in self.content}
            return [diff_id for diff_id in image.diff_ids if diff_id not in present]
        return self.not_unpacked(image)

    def not_unpacked(self, image: Image) -> list[str]:
        """Return the layers that no image on the host has on top of the same ones, lowest first."""
        chains = {chain for each in self.images for chain in chain_ids(each["layers"] or [])}
        wanted = zip(image.diff_ids, chain_ids(image.diff_ids), strict=True)
        return [diff_id for diff_id, chain in wanted if chain not in chains]


def probe(host: Transport, staging: str, part: str = "", engine: Engine = DOCKER) -> HostState:
    """Query the state of a host.

    Args:
        staging: the configured staging folder.
        part: see staging.folder.

    Raises:
        Refused: no engine answers on the host.
    """
    folder = shlex.quote(f"{stagings.base(staging)}/{part}".rstrip("/"))
    rest = _STAGED_AND_FREE.replace("@STAGING@", folder)
    answer = host.run(f"set -u\n{engine.inspect}{engine.look}{rest}")
    if answer.status:
        raise Refused(f"{host.name}: {engine.refusal(answer.status, answer.err.strip()[-400:])}")
    return replace(HostState.parse(answer.out), engine=engine)


def give_names(host: Transport, state: HostState, found: str, names: Iterable[str]) -> bool:
    """Tag an image on a host; return whether any name was new."""
    new = [name for name in names if state.tags.get(name) != found]
    for name in new:
        host.run(state.engine.tag(found, name)).checked(f"{host.name}: naming it {name}")
    return bool(new)
