"""Creates an image from a running container, and warns about what it will not contain."""

from __future__ import annotations

import re
from typing import Any

import docker

from ..docker_engine.engine import local_engine
from ..errors import Error, Refused
from . import image_name
from .context import CONTENT_LABEL

_SECRET = re.compile(r"(pass(word|wd)?|secret|token|api_?key|credential|private)", re.IGNORECASE)


def warnings_about(container: dict[str, Any]) -> list[str]:
    """Return warnings before a commit, from ``docker inspect`` of the container."""
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
    """Commit a container; return image_id, added (bytes of the new layer) and warnings.

    Raises:
        Refused: no such container, an invalid name, or with ``strict`` any warning.
        Error: the engine failed.
    """
    repository, tag = image_name.for_new(image)
    if not name.strip():
        raise Refused("the name of the container is empty: docker ps --all lists them")
    client = local_engine()
    try:
        container = client.api.inspect_container(name)
    except docker.errors.NotFound as error:
        raise Refused(f"no container {name} on this machine: docker ps --all lists them") from error
    warnings = warnings_about(container)
    if strict and warnings:
        raise Refused("; ".join(warnings))
    try:
        # A different label, because the image no longer matches its sources.
        made = client.api.commit(
            name, repository=repository, tag=tag, message=message, author=author, pause=pause,
            changes=[f'LABEL {CONTENT_LABEL}="committed-{container["Id"][:12]}"'],
        )  # fmt: skip
        found = client.api.inspect_image(made["Id"])
        before = client.api.inspect_image(container["Image"])
    except docker.errors.APIError as error:
        raise Error(f"docker commit: {error.explanation or error}") from error
    added = max(0, found["Size"] - before["Size"])
    return {"image_id": found["Id"], "added": added, "warnings": warnings}
