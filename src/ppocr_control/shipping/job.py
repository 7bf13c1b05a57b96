"""What is sent to hosts: the same for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ..layers import codec as codecs
from ..layers.image_archive import Image
from ..layers.source import Source, blobs_of
from ..layers.store import Blob, LayerStore
from ..progress import Progress
from ..ssh.transport import Transport
from .engines import DOCKER, Engine
from .state import HostState, probe

MODES = ("auto", "delta", "whole", "registry")


class Supply:
    """An image's layers, each compressed once for all hosts, when a host first needs it.

    Attributes:
        codec: compression of new layers; stored gzip layers are used too: every engine reads them.
    """

    def __init__(
        self, image: Image, store: LayerStore, opened: Callable[[], AbstractContextManager[Source]],
        progress: Progress, codec: str = "gzip",
    ) -> None:  # fmt: skip
        self.image, self.store, self.codec = image, store, codec
        self._opened, self._progress = opened, progress
        self._lock = threading.Lock()

    def choose_codec(self, versions: Iterable[str]) -> None:
        """Choose the compression that engines of all these versions understand."""
        self.codec = codecs.choose(versions)

    def ensure(self, diff_ids: Iterable[str]) -> None:
        """Compress layers into the store, lowest first, unless it has them in a usable form."""
        wanted = set(diff_ids)
        with self._lock:
            wanted -= self.blobs.keys()
            missing = [diff_id for diff_id in self.image.layers if diff_id in wanted]
            if missing:
                with self._opened() as source:
                    source.fill(self.store, missing, self.codec, self._progress)

    @property
    def blobs(self) -> dict[str, Blob]:
        """The compressed form of each stored layer, by diff ID."""
        return blobs_of(self.store, self.image, self.codec, "gzip")


@dataclass(frozen=True)
class Job:
    """An image, and how to send it to hosts.

    Attributes:
        names: tags to give it on the hosts.
        staging: the staging folder of a host.
        mode: delta, whole, registry, or auto: a registry if one is set, else delta.
        little_room: whether staged layers are removed while they load; None for only if disk
            space is short.
        engine: of the hosts.
    """

    image: Image
    names: Sequence[str]
    supply: Supply
    staging: Callable[[Transport], str]
    progress: Progress
    mode: str = "auto"
    little_room: bool | None = None
    engine: Engine = DOCKER

    def probe(self, host: Transport, part: str = "") -> HostState:
        """Query the state of a host; see :func:`.state.probe`."""
        return probe(host, self.staging(host), part, self.engine)
