"""Transfers one image to one host: its layers are staged there, then loaded into the engine.

image_archive explains why an archive without the layers the host has is enough.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..errors import Error, Refused
from ..layers import image_archive
from ..layers.image_archive import UNPACK_ERROR, Image
from ..layers.store import Blob, hexdigest
from ..ssh.transport import Transport, blocks_from
from . import disk_space
from . import staging as stagings
from .file_delta import LayerDelta
from .job import Job
from .state import CONTAINERD, HostState

#: Bytes of unpacked layers after which a step of loading ends; a step costs tenths of a second.
_STEP = 32_000_000


@dataclass(frozen=True)
class _LoadStep:
    """Layers that are loaded together.

    Attributes:
        end: how many layers the image has up to here.
        layers: what is loaded, each once.
        last_use: those that no later step needs; an image may have a layer twice.
    """

    end: int
    layers: tuple[str, ...]
    last_use: tuple[str, ...]


def _unless_present(image_id: str, script: str) -> str:
    return f"docker image inspect {image_id} >/dev/null 2>&1 || {{\n{script}\n}}"


@dataclass
class Shipment:
    """The transfer of one image to one host."""

    job: Job
    host: Transport
    state: HostState
    #: The compressed form of each layer, by diff ID.
    blobs: dict[str, Blob]
    #: The part of the staging folder; see staging.folder.
    part: str = ""
    sent: int = 0
    resumed: int = 0
    count: int = 0
    #: Deltas of layers that are rebuilt on the host, by diff ID.
    deltas: dict[str, LayerDelta] = field(default_factory=dict)
    #: Whether to load everything at once, for engines that reject partial archives.
    whole: bool = False
    #: IDs of the partial images that were loaded.
    _partial_ids: list[str] = field(default_factory=list)

    @property
    def image(self) -> Image:
        return self.job.image

    @property
    def staging(self) -> str:
        """The configured staging folder."""
        return self.job.staging(self.host)

    @property
    def folder(self) -> str:
        return stagings.folder(self.staging, self.image, self.part)

    def path(self, blob: Blob) -> str:
        return f"{self.folder}/{hexdigest(blob.digest)}"

    def remaining(self, blob: Blob) -> int:
        """Return its bytes that are not in the staging folder yet."""
        return self.state.remaining(self.image, blob)

    def _sent_as(self, diff_ids: Iterable[str]) -> list[Blob]:
        return [self.deltas[d].blob if d in self.deltas else self.blobs[d] for d in diff_ids]

    def _loaded_as(self, diff_id: str) -> Blob:
        return self.deltas[diff_id].layer if diff_id in self.deltas else self.blobs[diff_id]

    @property
    def has_leftovers(self) -> bool:
        """Whether an earlier try left files or partial images."""
        folder = f"{hexdigest(self.image.id)[:16]}/"
        return any(name.startswith(folder) for name in self.state.staged) or bool(self._parts())

    def check(self, missing: Sequence[str]) -> bool:
        """Check architecture and disk space; return whether to remove staged layers while loading.

        Raises:
            Refused: the image would not run on the host, or not fit.
        """
        self.state.check_architecture(self.host.name, self.image)
        if not disk_space.shortages(
            list(self.state.df), self._space_needed(missing, consume=False)
        ):
            return False
        if self.deltas:  # the engine's copy of a rebuilt layer is uncompressed
            self.deltas = {}
            return self.check(missing)
        short = disk_space.shortages(list(self.state.df), self._space_needed(missing, consume=True))
        if short:
            raise Refused(
                f"{self.host.name}: not enough room: {'; '.join(short)}. Nothing was sent. Free "
                "some space on the host (docker image prune), or stage on a larger file system "
                "(ppocr_image_staging_dir, --staging)"
            )
        return True

    def _space_needed(self, missing: Sequence[str], consume: bool) -> list[int]:
        """Return the bytes still to be staged, and the engine's need at the peak of loading."""
        one_file_system = len({line.rpartition(" ")[0].strip() for line in self.state.df}) == 1
        peak = unpacked = removed = 0

        def higher(copied: int, freed: int) -> int:
            return max(
                peak, copied + disk_space.to_unpack([unpacked]) - (freed if one_file_system else 0)
            )

        for step in self._steps(missing):
            staged = [blob.size for blob in self._sent_as(step.last_use)]
            loaded = [self._loaded_as(diff_id) for diff_id in step.layers]
            # The engine copies the archive beside its layers, then unpacks it. Staged layers that
            # are removed after reading exist twice, one at a time.
            copied = sum(blob.size for blob in loaded)
            read = removed + sum(staged) if consume else removed
            peak = higher(copied, read - max(staged, default=0) if consume else read)
            unpacked += sum(blob.raw_size for blob in loaded)
            peak = higher(copied, read)
            removed += sum(staged)
        return [sum(map(self.remaining, self._sent_as(missing))), peak]

    def _steps(self, missing: Sequence[str]) -> list[_LoadStep]:
        """Split the layers into loading steps, so that not all exist three times at once."""
        diff_ids = self.image.diff_ids
        if self.whole or self.state.store == CONTAINERD:
            return [_LoadStep(len(diff_ids), tuple(missing), tuple(missing))]
        # A layer on top of a missing one is missing, too, whatever is in it.
        start = len(diff_ids) - len(self.state.not_unpacked(self.image))
        steps, size = [], 0
        for end, diff_id in enumerate(diff_ids[start:], start + 1):
            size += self.blobs[diff_id].raw_size
            if size < _STEP and end < len(diff_ids):
                continue
            layers = dict.fromkeys(diff_ids[start:end])
            last_use = tuple(layer for layer in layers if layer not in diff_ids[end:])
            steps.append(_LoadStep(end, tuple(layers), last_use))
            start, size = end, 0
        return steps or [_LoadStep(len(diff_ids), (), ())]

    def send(self, missing: Sequence[str]) -> None:
        """Send compressed layers to the staging folder, resuming an earlier try.

        Raises:
            Error: a layer arrived altered twice.
        """
        blobs = self._sent_as(missing)
        self.open_staging([*blobs, *(self.blobs[diff_id] for diff_id in missing)])
        total = sum(blob.size for blob in blobs)
        self.job.progress.start(self.host.name, total, total - sum(map(self.remaining, blobs)))
        for blob in blobs:
            self._send(blob, blob.size - self.remaining(blob))
            self.count += 1
        for blob in self._altered(blobs):
            self.host.run(f"rm -f {shlex.quote(self.path(blob))}")
            self._send(blob, 0)
            if self._altered([blob]):
                raise Error(
                    f"{self.host.name}: layer {blob.digest[7:19]} arrived altered twice; "
                    "nothing was loaded. Check the host's disk and memory"
                )

    def open_staging(self, blobs: Iterable[Blob] | None) -> None:
        """Create the staging folder and remove all layers but these; None removes nothing."""
        keep = None if blobs is None else [hexdigest(blob.digest) for blob in blobs]
        stagings.create(self.host, self.staging, self.image, self.part, keep)

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
        if answer.status > 1:  # 1: a digest differs
            raise Error(f"{self.host.name}: sha256sum does not run on the host: install coreutils")
        intact = {row.removesuffix(": OK") for row in answer.out.splitlines() if row[-4:] == ": OK"}
        return [blob for blob in blobs if self.path(blob) not in intact]

    def load(self, missing: Sequence[str], consume: bool) -> str:
        """Load the layers as one archive and verify the result; return its ID on the host.

        Raises:
            Error: the engine rejected it, or has another image now; no name points to it.
        """
        answer = self.host.run(self._load_script(missing, consume))
        output = (answer.out + answer.err).strip()
        if answer.status or UNPACK_ERROR in output:
            self._forget()
            raise Error(f"{self.host.name}: {self.state.engine.name}: {output[-600:]}")
        found = self.state.with_images(answer.out).find(self.image)
        if found is None:
            self._forget()
            raise Error(f"{self.host.name}: the loaded image is not the one that was sent")
        return found

    def _load_script(self, missing: Sequence[str], consume: bool) -> str:
        steps, engine = self._steps(missing), self.state.engine
        # Locked: the script of a lost connection may still be running on the same layers. The
        # script can be repeated; steps that are done are skipped.
        lines = [
            engine.inspect,
            f"command -v flock >/dev/null && exec 9<{shlex.quote(self.folder)} && flock -w 900 9",
        ]
        for step in steps[:-1]:
            image = image_archive.partial_image(self.image, step.end)
            self._partial_ids.append(image.id)
            load = f"{self._archive(image, step, consume)} | {engine.load} || exit 1"
            lines.append(_unless_present(image.id, load))
            if step.last_use:
                lines.append(f"rm -f {self._paths(step.last_use)}")
        load = f"{self._archive(self.image, steps[-1], consume)} | {engine.load} || exit 1"
        lines.append(_unless_present(self.image.id, load) if len(steps) > 1 else load)
        lines.append(f"echo {' '.join(self._ids())} | inspect")
        return "\n".join(lines) + "\n"

    def _archive(self, image: Image, step: _LoadStep, consume: bool) -> str:
        """Return shell code that writes an archive of an image with the layers of a step."""
        packed = {d: blob for d, blob in self.blobs.items() if d not in self.deltas}
        start = base64.encodebytes(image_archive.head(image, packed)).decode()
        lines = [f"base64 -d <<'HEAD'\n{start}HEAD"]
        for diff_id in step.layers:
            blob = self._loaded_as(diff_id)
            text = base64.b64encode(image_archive.layer_header(blob)).decode()
            lines.append(f"printf %s {text} | base64 -d\n{self._written(diff_id)}")
            if consume and diff_id in step.last_use:
                lines.append(f"rm -f {self._paths([diff_id])}")
            if pad := len(image_archive.padding(blob.size)):
                lines.append(f"head -c {pad} /dev/zero")
        lines.append("head -c 1024 /dev/zero")
        return "{\n" + "\n".join(lines) + "\n}"

    def _paths(self, diff_ids: Sequence[str]) -> str:
        return " ".join(shlex.quote(self.path(blob)) for blob in self._sent_as(diff_ids))

    def _parts(self) -> list[str]:
        """Return IDs of partial images that interrupted loads left, unless still in use."""
        staged = {name.partition("/")[0] for name in self.state.staged}
        staged.discard(hexdigest(self.image.id)[:16])
        parts = {
            str(image["id"]): (image["labels"] or {}).get(image_archive.PART_OF)
            for image in self.state.images
        }
        return [
            part for part, whole in parts.items() if whole and hexdigest(whole)[:16] not in staged
        ]

    def _written(self, diff_id: str) -> str:
        """Return shell code that writes a layer as the archive contains it."""
        if delta := self.deltas.get(diff_id):
            return f"{delta.script(self.path(delta.blob))}[ $? = 0 ] || exit 1"
        return f"cat {shlex.quote(self.path(self.blobs[diff_id]))} || exit 1"

    def _ids(self) -> list[str]:
        """Return the IDs engines may give the image: of its configuration, or of its manifest."""
        if all(diff_id in self.blobs for diff_id in self.image.diff_ids):
            return [self.image.id, image_archive.manifest_digest(self.image, self.blobs)]
        return [self.image.id]

    def _forget(self) -> None:
        """Remove a damaged image, which has no name yet."""
        self.host.run(f"{self.state.engine.forget(self._ids())}; true")

    def clean(self) -> None:
        """Remove the staged layers, and partial images that are not needed any more."""
        parts = [*self._parts(), *self._partial_ids]
        remove_parts = f"{self.state.engine.forget(parts)}\n" if parts else ""
        self.host.run(remove_parts + stagings.removal(self.staging, self.image, self.part))
