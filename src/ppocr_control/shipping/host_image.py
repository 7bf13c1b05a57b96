"""What a host has of an image, and bringing it the rest. See imagearchive for why it works."""

from __future__ import annotations

import base64
import itertools
import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import Refused, Trouble
from ..layers import image_archive
from ..layers.image_archive import Image, chain_ids
from ..layers.store import Blob, LayerStore, hexdigest
from ..progress import Progress
from ..ssh.transport import Transport, blocks_from
from . import room
from . import staging as stagings
from .file_delta import LayerDelta

#: Docker's names of architectures by the kernel's.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_CLASSIC, _CONTAINERD = "classic", "containerd"
#: Exit status of the probe where the docker command is another program.
_PODMAN = 8
#: Bytes of unpacked layers after which a step of loading ends; each costs some tenths of a second.
_STEP = 32_000_000

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
            store=_CONTAINERD if containerd else _CLASSIC,
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
                self.store == _CONTAINERD
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
        if self.store == _CONTAINERD:
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


def _unless_there(image_id: str, script: str) -> str:
    return f"docker image inspect {image_id} >/dev/null 2>&1 || {{\n{script}\n}}"


@dataclass
class Shipment:
    """One image on its way to one host."""

    host: Transport
    state: HostState
    image: Image
    blobs: dict[str, Blob]
    store: LayerStore
    #: The folder that was named for layers on their way, and the part of it: see staging.folder.
    staging: str
    progress: Progress
    part: str = ""
    sent: int = 0
    resumed: int = 0
    count: int = 0
    #: Layers that are rebuilt on the host, by diff ID.
    deltas: dict[str, LayerDelta] = field(default_factory=dict)
    #: Whether all is given to the engine at once, as to one that takes no partial archive.
    whole: bool = False
    #: IDs of the beginnings of the image that were loaded.
    _made: list[str] = field(default_factory=list)

    @property
    def folder(self) -> str:
        return stagings.folder(self.staging, self.image, self.part)

    def path(self, blob: Blob) -> str:
        return f"{self.folder}/{hexdigest(blob.digest)}"

    def _staged(self, blob: Blob) -> int:
        name = f"{hexdigest(self.image.id)[:16]}/{hexdigest(blob.digest)}"
        return min(self.state.staged.get(name, 0), blob.size)

    def left(self, blob: Blob) -> int:
        """Bytes of it that are not in the staging folder yet."""
        return blob.size - self._staged(blob)

    def _sent_as(self, diff_ids: Iterable[str]) -> list[Blob]:
        return [self.deltas[d].blob if d in self.deltas else self.blobs[d] for d in diff_ids]

    def _loaded_as(self, diff_id: str) -> Blob:
        return self.deltas[diff_id].layer if diff_id in self.deltas else self.blobs[diff_id]

    @property
    def left_over(self) -> bool:
        """Whether an earlier try left something."""
        folder = f"{hexdigest(self.image.id)[:16]}/"
        return any(name.startswith(folder) for name in self.state.staged) or bool(self._parts())

    def check(self, missing: Sequence[str]) -> bool:
        """Compare architecture and room. Returns whether staged layers have to go while they load.

        Raises:
            Refused: it would not run there, or not fit.
        """
        self.state.check_architecture(self.host.name, self.image)
        if not room.lacking(list(self.state.df), self._room(missing, consume=False)):
            return False
        if self.deltas:  # the engine's copy of a rebuilt layer is not compressed
            self.deltas = {}
            return self.check(missing)
        short = room.lacking(list(self.state.df), self._room(missing, consume=True))
        if short:
            raise Refused(
                f"{self.host.name}: not enough room: {'; '.join(short)}. Nothing was sent. Make "
                "room there (docker image prune), or stage on a larger file system "
                "(ppocr_image_staging_dir, --staging)"
            )
        return True

    def _room(self, missing: Sequence[str], consume: bool) -> list[int]:
        """Bytes needed beside the staged ones and by the engine, at the worst moment of loading."""
        together = len({line.rpartition(" ")[0].strip() for line in self.state.df}) == 1
        peak = unpacked = gone = 0

        def hold(copied: int, freed: int) -> int:
            return max(peak, copied + room.to_unpack([unpacked]) - (freed if together else 0))

        for step in self._steps(missing):
            staged = [blob.size for blob in self._sent_as(step)]
            loaded = [self._loaded_as(diff_id) for diff_id in step]
            # The engine copies the archive beside its layers, then unpacks it. Staged layers that
            # go as they are read are there twice one by one.
            copied = sum(blob.size for blob in loaded)
            read = gone + sum(staged) if consume else gone
            peak = hold(copied, read - max(staged, default=0) if consume else read)
            unpacked += sum(blob.raw_size for blob in loaded)
            peak = hold(copied, read)
            gone += sum(staged)
        return [sum(map(self.left, self._sent_as(missing))), peak]

    def _steps(self, missing: Sequence[str]) -> list[list[str]]:
        """The layers in the parts they are loaded in, so that they are not all there thrice."""
        known = self.image.diff_ids
        if self.whole or self.state.store == _CONTAINERD or len(set(known)) < len(known):
            return [list(missing)]
        steps: list[list[str]] = [[]]
        size = 0
        for diff_id in missing:
            if size >= _STEP:
                steps.append([])
                size = 0
            steps[-1].append(diff_id)
            size += self.blobs[diff_id].raw_size
        return steps

    def send(self, missing: Sequence[str]) -> None:
        """Bring compressed layers to the staging folder, going on where an earlier try ended.

        Raises:
            Trouble: a layer arrived altered twice.
        """
        blobs = self._sent_as(missing)
        self.open_staging([*blobs, *(self.blobs[diff_id] for diff_id in missing)])
        total = sum(blob.size for blob in blobs)
        self.progress.start(self.host.name, total, total - sum(map(self.left, blobs)))
        for blob in blobs:
            self._send(blob, self._staged(blob))
            self.count += 1
        for blob in self._altered(blobs):
            self.host.run(f"rm -f {shlex.quote(self.path(blob))}")
            self._send(blob, 0)
            if self._altered([blob]):
                raise Trouble(
                    f"{self.host.name}: layer {blob.digest[7:19]} arrives altered again and again; "
                    "nothing was loaded. Check the host's disk and memory"
                )

    def open_staging(self, blobs: Iterable[Blob] | None) -> None:
        """Make the staging folder, and remove from it all but these; None leaves what is there."""
        keep = None if blobs is None else [hexdigest(blob.digest) for blob in blobs]
        stagings.make(self.host, self.staging, self.image, self.part, keep)

    def _send(self, blob: Blob, offset: int) -> None:
        if offset == blob.size:
            self.resumed += offset
            return

        def count(size: int) -> None:
            self.sent += size
            self.progress.add(self.host.name, size)

        self.resumed += offset
        self.store.touch(blob)
        self.host.put(blocks_from(self.store.path(blob), offset, count), self.path(blob), offset)

    def _altered(self, blobs: Sequence[Blob]) -> list[Blob]:
        if not blobs:
            return []
        lines = "".join(f"{hexdigest(b.digest)}  {self.path(b)}\n" for b in blobs)
        answer = self.host.run(f"sha256sum --check - 2>/dev/null <<'SUMS'\n{lines}SUMS\n")
        if answer.status > 1:  # 1 is a sum that differs
            raise Trouble(f"{self.host.name}: sha256sum does not run there: install coreutils")
        good = {row.removesuffix(": OK") for row in answer.out.splitlines() if row[-4:] == ": OK"}
        return [blob for blob in blobs if self.path(blob) not in good]

    def load(self, missing: Sequence[str], consume: bool) -> str:
        """Join the layers to an archive, load it, compare what came out; returns the host's ID.

        Raises:
            Trouble: the engine refused it, or has something else now; no name points to it.
        """
        answer = self.host.run(self._load_script(missing, consume))
        said = (answer.out + answer.err).strip()
        # Engines on containerd's store exit 0 over a damaged layer and mention it in passing.
        if answer.status or "rror unpacking" in said:
            self._forget()
            raise Trouble(f"{self.host.name}: docker load: {said[-600:]}")
        found = self.state.with_images(answer.out).find(self.image)
        if found is None:
            self._forget()
            raise Trouble(f"{self.host.name}: what was loaded is not the image that was sent")
        return found

    def _load_script(self, missing: Sequence[str], consume: bool) -> str:
        steps = self._steps(missing)
        # One at a time: the script of a connection that was given up may still be at it, and has
        # the same layers. It may also be run again as it is; what is there is passed over then.
        lines = [
            INSPECT,
            f"command -v flock >/dev/null && exec 9<{shlex.quote(self.folder)} && flock -w 900 9",
        ]
        for step, after in itertools.pairwise(steps):
            image = image_archive.beginning(self.image, self.image.diff_ids.index(after[0]))
            self._made.append(image.id)
            load = f"{self._archive(image, step, consume)} | docker load || exit 1"
            lines.append(_unless_there(image.id, load))
            lines.append(f"rm -f {self._paths(step)}")
        load = f"{self._archive(self.image, steps[-1], consume)} | docker load || exit 1"
        lines.append(_unless_there(self.image.id, load) if len(steps) > 1 else load)
        lines.append(f"echo {' '.join(self._ids())} | inspect")
        return "\n".join(lines) + "\n"

    def _archive(self, image: Image, layers: Sequence[str], consume: bool) -> str:
        """Shell that writes an archive with these of an image's layers."""
        packed = {d: blob for d, blob in self.blobs.items() if d not in self.deltas}
        start = base64.encodebytes(image_archive.head(image, packed)).decode()
        lines = [f"base64 -d <<'HEAD'\n{start}HEAD"]
        for diff_id in layers:
            blob = self._loaded_as(diff_id)
            text = base64.b64encode(image_archive.layer_header(blob)).decode()
            lines.append(f"printf %s {text} | base64 -d\n{self._written(diff_id)}")
            if consume:
                lines.append(f"rm -f {self._paths([diff_id])}")
            if pad := len(image_archive.padding(blob.size)):
                lines.append(f"head -c {pad} /dev/zero")
        lines.append("head -c 1024 /dev/zero")
        return "{\n" + "\n".join(lines) + "\n}"

    def _paths(self, diff_ids: Sequence[str]) -> str:
        return " ".join(shlex.quote(self.path(blob)) for blob in self._sent_as(diff_ids))

    def _parts(self) -> list[str]:
        """IDs of what interrupted loads left: of this image, and of those no longer staged."""
        staged = {name.partition("/")[0] for name in self.state.staged}
        staged.discard(hexdigest(self.image.id)[:16])
        parts = {
            str(there["id"]): (there["labels"] or {}).get(image_archive.PART_OF)
            for there in self.state.images
        }
        return [part for part, of in parts.items() if of and hexdigest(of)[:16] not in staged]

    def _written(self, diff_id: str) -> str:
        """Shell that writes a layer as the archive holds it."""
        if delta := self.deltas.get(diff_id):
            return f"{delta.script(self.path(delta.blob))}[ $? = 0 ] || exit 1"
        return f"cat {shlex.quote(self.path(self.blobs[diff_id]))} || exit 1"

    def _ids(self) -> list[str]:
        """What engines may call the image: by its configuration, or by its manifest."""
        if all(diff_id in self.blobs for diff_id in self.image.diff_ids):
            return [self.image.id, image_archive.manifest_digest(self.image, self.blobs)]
        return [self.image.id]

    def _forget(self) -> None:
        """Remove a damaged image; it has no name yet."""
        self.host.run(f"docker image rm {' '.join(self._ids())} >/dev/null 2>&1; true")

    def clean(self) -> None:
        """Remove the staged layers, and what kept loaded ones until the image was there."""
        parts = " ".join([*self._parts(), *self._made])
        gone = f"docker image rm {parts} >/dev/null 2>&1\n" if parts else ""
        self.host.run(gone + stagings.removal(self.staging, self.image, self.part))
