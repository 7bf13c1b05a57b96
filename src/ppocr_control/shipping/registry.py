"""Sends an image through the operator's registry: pushed once, pulled by digest, verified.

Logins are Docker's, on this machine and on the hosts (docker login, daemon.json, certs.d).
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import docker
import requests

from ..docker_engine.engine import local_engine
from ..errors import Error, Refused
from ..layers import saved_image
from ..layers.image_archive import Image, split_name
from ..layers.source import ArchiveSource, EngineSource
from ..progress import Progress
from ..ssh.transport import Transport
from . import disk_space
from .job import Job
from .state import HostState
from .strategy import Delivery, Step, Strategy


@dataclass(frozen=True)
class Pushed:
    """An image in a registry.

    Attributes:
        reference: ``registry/name@sha256:...``, by which hosts pull it.
        sizes: bytes of its layers, unpacked; empty if the engine does not report them.
    """

    reference: str
    sizes: dict[str, int]


def push(source: EngineSource | ArchiveSource, registry: str, progress: Progress) -> Pushed:
    """Push an image to a registry. A saved image is loaded first, because Docker pushes its own.

    Args:
        registry: ``host[:port][/path]``.

    Raises:
        Refused: on this machine, the saved image would take a name from another image.
        Error: the registry rejects the image, or this machine's engine the file.
    """
    if isinstance(source, EngineSource):
        return _push(source, registry, progress)
    loaded = _loaded(source, progress)
    try:
        return _push(loaded, registry, progress)
    finally:
        loaded.close()


def _loaded(source: ArchiveSource, progress: Progress) -> EngineSource:
    """Load a saved image into this machine's engine, where it keeps the names in the file."""
    client = local_engine()
    for name in source.image.tags:
        with contextlib.suppress(docker.errors.ImageNotFound):
            layers = client.api.inspect_image(name)["RootFS"].get("Layers")
            if layers != source.image.diff_ids:
                raise Refused(
                    f"{source.path} has to be loaded on this machine to be pushed, where {name} is "
                    "another image: remove that name (docker image rm), or send the file without "
                    "the registry (ppocr_image_ship_mode delta, --mode delta)"
                )
    progress.say(f"loading {source.path} into this machine's engine to push it")
    loaded = saved_image.load(source.path, None, None, progress)
    return EngineSource((loaded["tags"] or [loaded["image_id"]])[0], client)


def _push(source: EngineSource, registry: str, progress: Progress) -> Pushed:
    name, tag = name_in(registry, source.image)
    api = source.client.api
    progress.say(f"pushing {name}:{tag}")
    try:
        api.tag(source.image_id, name, tag)
        try:
            output = list(api.push(name, tag, stream=True, decode=True))
        finally:
            api.remove_image(f"{name}:{tag}")
    except (docker.errors.APIError, requests.RequestException) as error:
        raise Error(f"{registry}: {getattr(error, 'explanation', None) or error}") from error
    failures = [line["error"] for line in output if "error" in line]
    digests = [line["aux"]["Digest"] for line in output if "Digest" in line.get("aux", {})]
    if failures or not digests:
        why = failures[-1] if failures else "it reported no digest"
        raise Error(
            f"the registry {registry} did not accept the image ({why}). Log in with docker login, "
            "or correct ppocr_image_registry (--registry)"
        )
    return Pushed(f"{name}@{digests[-1]}", source.sizes())


def name_in(registry: str, image: Image) -> tuple[str, str]:
    """Return the name of an image in a registry, and its tag."""
    name, tag = split_name(image.tags[0] if image.tags else f"ppocr:{image.id[7:19]}")
    return f"{registry.strip('/')}/{name.rpartition('/')[2]}", tag


def check_room(host: Transport, state: HostState, image: Image, sizes: Mapping[str, int]) -> None:
    """Raise Refused if the missing layers, unpacked, would not fit on a host; sizes in bytes."""
    needed = disk_space.to_unpack(sizes.get(diff_id, 0) for diff_id in state.not_unpacked(image))
    if short := disk_space.shortages(list(state.df), [0, needed]):
        raise Refused(
            f"{host.name}: not enough room: {'; '.join(short)}. Nothing was pulled. Free some "
            "space on the host (docker image prune)"
        )


def pull(host: Transport, state: HostState, image: Image, reference: str) -> str:
    """Let a host pull an image and verify it; return the ID it has on the host.

    Raises:
        Error: the host cannot pull it, or got another image; no name points to it.
    """
    ref = shlex.quote(reference)
    answer = host.run(
        f"{state.engine.inspect}\ndocker pull -q {ref} >/dev/null || exit 1\necho {ref} | inspect\n"
    )
    if answer.status:
        reason = (answer.err or answer.out).strip()[-400:]
        raise Error(f"{host.name}: docker pull {reference}: {reason}")
    found = state.with_images(answer.out).find(image)
    if found is None:
        forget(host, reference)
        raise Error(f"{host.name}: the registry gave another image than was pushed")
    return found


def forget(host: Transport, reference: str) -> None:
    """Remove the name an image was pulled by."""
    host.run(f"docker image rm {shlex.quote(reference)} >/dev/null 2>&1; true")


class PulledFromRegistry(Strategy):
    """Let the host pull the image by its digest."""

    name = "registry"
    instead = "sending the layers instead"
    reason = "sent over SSH because the registry failed"

    def __init__(self, pushed: Pushed) -> None:
        self._pushed = pushed

    def plan(self, state: HostState, job: Job) -> list[Step]:
        return [
            Step("pull", f"pull {self._pushed.reference}", tuple(state.not_unpacked(job.image)))
        ]

    def run(self, delivery: Delivery) -> str | None:
        image, state, result = delivery.job.image, delivery.state, delivery.result
        state.check_architecture(delivery.host.name, image)
        check_room(delivery.host, state, image, self._pushed.sizes)
        with result.timed("pull"):
            found = pull(delivery.host, state, image, self._pushed.reference)
        result.mode = self.name
        return found

    def finish(self, delivery: Delivery) -> None:
        if delivery.result.mode == self.name:
            forget(delivery.host, self._pushed.reference)
