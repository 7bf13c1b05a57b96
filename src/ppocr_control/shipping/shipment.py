"""One image on its way to one host: staged there layer by layer, then loaded into its engine.

See image_archive for why an archive without the layers that are there does.
"""

from __future__ import annotations

import base64
import itertools
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..errors import Error, Refused
from ..layers import image_archive
from ..layers.image_archive import Image
from ..layers.store import Blob, hexdigest
from ..ssh.transport import Transport, blocks_from
from . import room
from . import staging as stagings
from .file_delta import LayerDelta
from .job import Job
from .state import CONTAINERD, INSPECT, HostState

#: Bytes of unpacked layers after which a step of loading ends; each costs some tenths of a second.
_STEP = 32_000_000


def _unless_there(image_id: str, script: str) -> str:
    return f"docker image inspect {image_id} >/dev/null 2>&1 || {{\n{script}\n}}"


@dataclass
class Shipment:
    """One image on its way to one host."""

    job: Job
    host: Transport
    state: HostState
    #: The compressed form of each layer, by diff ID.
    blobs: dict[str, Blob]
    #: The part of the staging folder: see staging.folder.
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
    def image(self) -> Image:
        return self.job.image

    @property
    def staging(self) -> str:
        """The folder that was named for layers on their way."""
        return self.job.staging(self.host)

    @property
    def folder(self) -> str:
        return stagings.folder(self.staging, self.image, self.part)

    def path(self, blob: Blob) -> str:
        return f"{self.folder}/{hexdigest(blob.digest)}"

    def left(self, blob: Blob) -> int:
        """Bytes of it that are not in the staging folder yet."""
        return self.state.left(self.image, blob)

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
        if self.whole or self.state.store == CONTAINERD or len(set(known)) < len(known):
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
            Error: a layer arrived altered twice.
        """
        blobs = self._sent_as(missing)
        self.open_staging([*blobs, *(self.blobs[diff_id] for diff_id in missing)])
        total = sum(blob.size for blob in blobs)
        self.job.progress.start(self.host.name, total, total - sum(map(self.left, blobs)))
        for blob in blobs:
            self._send(blob, blob.size - self.left(blob))
            self.count += 1
        for blob in self._altered(blobs):
            self.host.run(f"rm -f {shlex.quote(self.path(blob))}")
            self._send(blob, 0)
            if self._altered([blob]):
                raise Error(
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
            self.job.progress.add(self.host.name, size)

        self.resumed += offset
        self.job.supply.store.touch(blob)
        self.host.put(
            blocks_from(self.job.supply.store.path(blob), offset, count), self.path(blob), offset
        )

    def _altered(self, blobs: Sequence[Blob]) -> list[Blob]:
        if not blobs:
            return []
        lines = "".join(f"{hexdigest(b.digest)}  {self.path(b)}\n" for b in blobs)
        answer = self.host.run(f"sha256sum --check - 2>/dev/null <<'SUMS'\n{lines}SUMS\n")
        if answer.status > 1:  # 1 is a sum that differs
            raise Error(f"{self.host.name}: sha256sum does not run there: install coreutils")
        good = {row.removesuffix(": OK") for row in answer.out.splitlines() if row[-4:] == ": OK"}
        return [blob for blob in blobs if self.path(blob) not in good]

    def load(self, missing: Sequence[str], consume: bool) -> str:
        """Join the layers to an archive, load it, compare what came out; returns the host's ID.

        Raises:
            Error: the engine refused it, or has something else now; no name points to it.
        """
        answer = self.host.run(self._load_script(missing, consume))
        said = (answer.out + answer.err).strip()
        # Engines on containerd's store exit 0 over a damaged layer and mention it in passing.
        if answer.status or "rror unpacking" in said:
            self._forget()
            raise Error(f"{self.host.name}: docker load: {said[-600:]}")
        found = self.state.with_images(answer.out).find(self.image)
        if found is None:
            self._forget()
            raise Error(f"{self.host.name}: what was loaded is not the image that was sent")
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
