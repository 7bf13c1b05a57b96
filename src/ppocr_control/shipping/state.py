"""What a host says of its engine, images, staging folder and room."""

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

CLASSIC, CONTAINERD = "classic", "containerd"
#: Exit status of the probe where the docker command is another program.
_PODMAN = 8

# Every call of the docker command costs a host of few cores a tenth of a second: few are made.
INSPECT = r"""
say() { printf '%s\t%s\n' "$1" "$2"; }
inspect() {
  format='{"id":{{json .Id}},"layers":{{json .RootFS.Layers}},"tags":{{json .RepoTags}},'
  format=$format'"created":{{json .Created}},"labels":{{json .Config.Labels}}}'
  xargs -r docker image inspect --format "$format" 2>/dev/null |
    while IFS= read -r line; do say image "$line"; done
}
"""
_PROBE = r"""
set -u
@INSPECT@
command -v docker >/dev/null 2>&1 || { echo "there is no docker command" >&2; exit 9; }
# Warnings, as of a damaged config.json, go to standard error and are no answer.
info=$(docker info --format '{{.ServerVersion}} {{.DockerRootDir}} {{json .}}')
case $info in [0-9]*' /'*) ;; *)
  case $(docker --version 2>/dev/null) in *[Pp]odman*) exit @PODMAN@ ;; esac
  exit 9 ;;
esac
version=${info%% *} info=${info#* }
root=${info%% *} info=${info#* }
say version "$version"
say info "$info"
docker image ls --all --quiet --no-trunc | sort -u | inspect
case $info in *io.containerd.snapshotter*)
  for socket in /run/containerd/containerd.sock /var/run/docker/containerd/containerd.sock; do
    [ -S "$socket" ] && command -v ctr >/dev/null 2>&1 &&
      ctr --address "$socket" --namespace moby content ls --quiet 2>/dev/null |
        while IFS= read -r line; do say content "$line"; done
  done
esac
staging=@STAGING@
find "$staging" -mindepth 2 -type f -printf 'staged\t%s %P\n' 2>/dev/null
parent=$staging
while [ ! -d "$parent" ]; do parent=$(dirname "$parent"); done
[ -d "$root" ] || root=$parent
df --block-size=1 --output=target,avail "$parent" "$root" | tail -n +2 |
  while IFS= read -r line; do say df "$line"; done
""".replace("@INSPECT@", INSPECT).replace("@PODMAN@", str(_PODMAN))


def _images(rows: Iterable[str]) -> tuple[dict[str, Any], ...]:
    # docker image inspect prints an empty line where it finds nothing.
    return tuple(json.loads(line) for line in rows if line.strip())


@dataclass(frozen=True)
class HostState:
    """What a host said of its engine, images, staging folder and room."""

    version: str
    architecture: str
    store: str
    images: tuple[dict[str, Any], ...]
    content: frozenset[str]
    staged: dict[str, int]
    df: tuple[str, ...]
    tags: dict[str, str] = field(default_factory=dict)
    #: The engine's folder, where it keeps layers as files (overlay2); empty on other stores.
    files_root: str = ""

    @classmethod
    def parse(cls, text: str) -> HostState:
        """From the probe's lines."""
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
        """The host's ID of an image that is the same: its configuration and layers."""
        return next((str(there["id"]) for there in self.images if self._same(there, image)), None)

    def _same(self, there: dict[str, Any], image: Image) -> bool:
        return bool(
            there["id"] == image.id
            or (
                self.store == CONTAINERD
                and there["layers"] == image.diff_ids
                and there["created"] == image.parsed.get("created")
                and (there["labels"] or {}) == image.labels
            )
        )

    def check_architecture(self, name: str, image: Image) -> None:
        """Raises Refused where the image would not run."""
        if image.architecture != self.architecture:
            raise Refused(
                f"{name}: the image is for {image.architecture}, the host is {self.architecture}: "
                "Docker would load it, and it would not run. Nothing was sent"
            )

    def left(self, image: Image, blob: Blob) -> int:
        """Bytes of a layer of an image that are not in the staging folder yet."""
        name = f"{hexdigest(image.id)[:16]}/{hexdigest(blob.digest)}"
        return blob.size - min(self.staged.get(name, 0), blob.size)

    def with_images(self, text: str) -> HostState:
        """The same host with the images that a script's lines tell of."""
        rows = (line.partition("\t") for line in text.splitlines())
        return replace(self, images=_images(value for key, _, value in rows if key == "image"))

    def missing(self, image: Image, blobs: dict[str, Blob]) -> list[str]:
        """The layers the host lacks, lowest first.

        Args:
            image: what is to be there.
            blobs: compressed forms known so far; containerd's store has a layer only if it has it
                under that very digest.
        """
        if self.store == CONTAINERD:
            held = {d for d, blob in blobs.items() if blob.digest in self.content}
            return [diff_id for diff_id in image.diff_ids if diff_id not in held]
        return self.not_unpacked(image)

    def not_unpacked(self, image: Image) -> list[str]:
        """The layers no image on the host has at that place, lowest first."""
        chains = {chain for there in self.images for chain in chain_ids(there["layers"] or [])}
        wanted = zip(image.diff_ids, chain_ids(image.diff_ids), strict=True)
        return [diff_id for diff_id, chain in wanted if chain not in chains]


def probe(host: Transport, staging: str, part: str = "") -> HostState:
    """Ask a host what it has.

    Args:
        staging: the folder that was named for layers on their way.
        part: as in staging.folder.

    Raises:
        Refused: no engine answers there.
    """
    place = f"{stagings.base(staging)}/{part}".rstrip("/")
    answer = host.run(_PROBE.replace("@STAGING@", shlex.quote(place)))
    if answer.status == _PODMAN:
        raise Refused(
            f"{host.name}: the docker command there is Podman's, which does not load what is sent: "
            "remove podman-docker, and install Docker (playbooks/deploy.yml --tags docker_engine)"
        )
    if answer.status:
        raise Refused(
            f"{host.name}: no Docker engine answers ({answer.err.strip()[-400:]}). Install one "
            "with playbooks/deploy.yml --tags docker_engine, or start it"
        )
    return HostState.parse(answer.out)


def give_names(host: Transport, state: HostState, found: str, names: Iterable[str]) -> bool:
    """Give an image its names on a host; returns whether any was new."""
    new = [name for name in names if state.tags.get(name) != found]
    for name in new:
        host.run(f"docker tag {found} {shlex.quote(name)}").checked(f"{host.name}: docker tag")
    return bool(new)
