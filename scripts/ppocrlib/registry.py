"""Through a registry of the owner's: pushed once, pulled by digest, proved as any other way is.

Logging in is Docker's own business, here and on the hosts (docker login, daemon.json, certs.d).
"""

from __future__ import annotations

import shlex

import docker
import requests

from .hostimage import INSPECT, HostState
from .imagearchive import Image, split_name
from .layersource import ArchiveSource, EngineSource
from .outcome import Refused, Trouble
from .progress import Progress
from .transport import Transport


def push(source: EngineSource | ArchiveSource, registry: str, progress: Progress) -> str:
    """Bring an image to a registry; returns ``registry/name@sha256:...``, by which hosts pull it.

    Args:
        registry: ``host[:port][/path]``.

    Raises:
        Refused: the image is a file; Docker pushes only what its engine has.
        Trouble: the registry does not take it.
    """
    if not isinstance(source, EngineSource):
        raise Refused(
            "a saved image cannot be pushed: load it first (scripts/load_image.py), or send it "
            "without the registry (ppocr_image_ship_mode delta, --mode delta)"
        )
    name, tag = name_in(registry, source.image)
    api = source.client.api
    progress.say(f"pushing {name}:{tag}")
    try:
        api.tag(source.image_id, name, tag)
        try:
            said = list(api.push(name, tag, stream=True, decode=True))
        finally:
            api.remove_image(f"{name}:{tag}")
    except (docker.errors.APIError, requests.RequestException) as error:
        raise Trouble(f"{registry}: {getattr(error, 'explanation', None) or error}") from error
    failures = [line["error"] for line in said if "error" in line]
    digests = [line["aux"]["Digest"] for line in said if "Digest" in line.get("aux", {})]
    if failures or not digests:
        why = failures[-1] if failures else "it named no digest"
        raise Trouble(
            f"the registry {registry} did not take the image ({why}). Log in with docker login, "
            "or correct ppocr_image_registry (--registry)"
        )
    return f"{name}@{digests[-1]}"


def name_in(registry: str, image: Image) -> tuple[str, str]:
    """What an image is called in a registry, and its tag."""
    name, tag = split_name(image.tags[0] if image.tags else f"ppocr:{image.id[7:19]}")
    return f"{registry.strip('/')}/{name.rpartition('/')[2]}", tag


def pull(host: Transport, state: HostState, image: Image, reference: str) -> str:
    """Have a host pull an image, and compare what came; returns the host's ID of it.

    Raises:
        Trouble: the host cannot pull it, or has something else now; no name points to it.
    """
    ref = shlex.quote(reference)
    answer = host.run(
        f"{INSPECT}\ndocker pull -q {ref} >/dev/null || exit 1\necho {ref} | inspect\n"
    )
    if answer.status:
        said = (answer.err or answer.out).strip()[-400:]
        raise Trouble(f"{host.name}: docker pull {reference}: {said}")
    found = state.with_images(answer.out).find(image)
    if found is None:
        forget(host, reference)
        raise Trouble(f"{host.name}: what the registry gave is not the image that was sent")
    return found


def forget(host: Transport, reference: str) -> None:
    """Drop the name an image was pulled by."""
    host.run(f"docker image rm {shlex.quote(reference)} >/dev/null 2>&1; true")
