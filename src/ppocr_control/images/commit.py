"""An image from a running container, and what it will not hold."""

from __future__ import annotations

import re
from typing import Any

import docker

from ..docker_engine.engine import local_engine
from ..errors import Error, Refused
from . import image_name

_SECRET = re.compile(r"(pass(word|wd)?|secret|token|api_?key|credential|private)", re.IGNORECASE)
#: Says which sources an image was built from; a committed one holds more than those.
_CONTENT_LABEL = "org.ppocr.content"


def warnings_about(container: dict[str, Any]) -> list[str]:
    """What a person should know before committing, from ``docker inspect`` of the container."""
    found = []
    for mount in container.get("Mounts") or []:
        what = (
            f"volume {mount['Name']}"
            if mount["Type"] == "volume"
            else mount.get("Source", "a tmpfs")
        )
        found.append(
            f"{mount['Destination']} is mounted ({what}): its files will not be in the image"
        )
    for path in container["HostConfig"].get("Tmpfs") or {}:
        found.append(f"{path} is in memory: its files will not be in the image")
    for setting in container["Config"].get("Env") or []:
        name, _, value = setting.partition("=")
        if value and _SECRET.search(name):
            found.append(
                f"the environment variable {name} looks like a secret and will be in the image"
            )
    return found


def commit(
    name: str,
    image: str,
    message: str = "",
    author: str = "",
    pause: bool = True,
    strict: bool = False,
) -> dict[str, Any]:
    """Commit a container; returns image_id, added (bytes of the new layer) and warnings.

    Raises:
        Refused: no such container, no such name, or with ``strict`` anything to warn about.
        Error: the engine refused.
    """
    repository, tag = image_name.for_new(image)
    if not name.strip():
        raise Refused("the name of the container is empty: docker ps --all lists them")
    client = local_engine()
    try:
        container = client.api.inspect_container(name)
    except docker.errors.NotFound as error:
        raise Refused(f"there is no container {name}: docker ps --all lists them") from error
    warnings = warnings_about(container)
    if strict and warnings:
        raise Refused("; ".join(warnings))
    try:
        # A different label, since the image is no longer what its sources say.
        made = client.api.commit(
            name, repository=repository, tag=tag, message=message, author=author, pause=pause,
            changes=[f'LABEL {_CONTENT_LABEL}="committed-{container["Id"][:12]}"'],
        )  # fmt: skip
        found = client.api.inspect_image(made["Id"])
        before = client.api.inspect_image(container["Image"])
    except docker.errors.APIError as error:
        raise Error(f"docker commit: {error.explanation or error}") from error
    added = max(0, found["Size"] - before["Size"])
    return {"image_id": found["Id"], "added": added, "warnings": warnings}
