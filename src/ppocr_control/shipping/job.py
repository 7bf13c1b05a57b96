"""What is to be brought to hosts: the same for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ..layers import codec as codecs
from ..layers.image_archive import Image
from ..layers.source import Source
from ..layers.store import Blob, LayerStore
from ..progress import Progress
from ..ssh.transport import Transport

MODES = ("auto", "delta", "whole", "registry")


class Supply:
    """An image's layers, each compressed once for all hosts, when the first needs it.

    Attributes:
        codec: the form new ones are compressed in; one that is kept in gzip does for any engine.
    """

    def __init__(
        self, image: Image, store: LayerStore, opened: Callable[[], AbstractContextManager[Source]],
        progress: Progress, codec: str = "gzip",
    ) -> None:  # fmt: skip
        self.image, self.store, self.codec = image, store, codec
        self._opened, self._progress = opened, progress
        self._lock = threading.Lock()

    def choose_codec(self, versions: Iterable[str]) -> None:
        """Take the form that every engine of these versions understands."""
        self.codec = codecs.choose(versions)

    def ensure(self, diff_ids: Iterable[str]) -> None:
        """Bring layers into the store, lowest first, unless they are there in a usable form."""
        wanted = set(diff_ids)
        with self._lock:
            missing = [d for d in self.image.diff_ids if d in wanted and not self._kept(d)]
            if missing:
                with self._opened() as source:
                    source.fill(self.store, missing, self.codec, self._progress)

    def _kept(self, diff_id: str) -> Blob | None:
        return self.store.blob(diff_id, self.codec) or self.store.blob(diff_id, "gzip")

    @property
    def blobs(self) -> dict[str, Blob]:
        """The compressed form of each layer that is in the store, by diff ID."""
        found = {diff_id: self._kept(diff_id) for diff_id in self.image.diff_ids}
        return {diff_id: blob for diff_id, blob in found.items() if blob}


@dataclass(frozen=True)
class Job:
    """An image, and how it is to come to hosts.

    Attributes:
        names: tags to give it there.
        staging: the folder for layers on their way, by host.
        mode: delta, whole, registry, or auto: a registry where there is one, else delta.
        little_room: whether staged layers are removed while they load; None where room is short.
    """

    image: Image
    names: Sequence[str]
    supply: Supply
    staging: Callable[[Transport], str]
    progress: Progress
    mode: str = "auto"
    little_room: bool | None = None
