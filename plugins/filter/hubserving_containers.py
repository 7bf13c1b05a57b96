"""Filters of the role hubserving: which containers and images are ours, and which one to use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ppocr_control.images import variant


def hubserving_rollback(
    lines: list[str], repository: str, version: str, suffix: str, running: list[str]
) -> dict[str, str]:
    """Choose the image to go back to.

    Args:
        lines: the host's images of the repository, each ``ID name:tag``.
        repository: their name without tag.
        version: the version to go to, which is the same on all hosts, or a tag; empty for the image
            that ran before.
        suffix: what ends the tags of this host's images. Where no such image is there, one without
            it is taken, but for a GPU's.
        running: IDs of the images our containers have.

    Returns:
        ``run``, what to run (a name where the image has one besides ``previous``, else its ID),
        ``words`` on it, and ``error``, empty where it can be done.
    """
    rows = (line.split(" ", 1) for line in lines if not line.endswith("<none>"))
    images = {name: found for found, name in rows}
    kept = f"{repository}:previous"
    names = {name: found for name, found in images.items() if name != kept}
    listed = [f"{name} (running)" if names[name] in running else name for name in sorted(names)]
    there = f"There are: {', '.join(listed) or 'none'}."
    remedy = "Name one of them with -e ppocr_version=..., or send one with playbooks/ship.yml."
    wanted = f"{repository}:{version}" if version else kept
    own = f"{wanted}{suffix}"
    # Former versions have Paddle in their one image for each device.
    device = variant.GPU_SUFFIX if suffix.startswith(variant.GPU_SUFFIX) else ""
    if version and not version.endswith((suffix, device) if device else suffix):
        wanted = own if own in images else f"{wanted}{device}"
    if not running:
        error = (
            "There is no container of the service to roll back: deploy with playbooks/deploy.yml."
        )
    elif wanted not in images:
        what = f"{wanted} is not on this host" if version else "No earlier image is remembered here"
        error = f"{what}; nothing was changed on any host. {there} {remedy}"
    else:
        same = [name for name in sorted(names) if names[name] == images[wanted]]
        run = wanted if version else (same or [images[wanted]])[0]
        already = "; it runs already" if images[wanted] in running else ""
        return {"run": run, "words": f"going to {run}{already}", "error": ""}
    return {"run": "", "words": "", "error": error}


def hubserving_own(containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The containers the role made, of those with its label.

    An image committed from one has the label, too, and so has what somebody runs from that image,
    under another name.
    """

    def is_own(container: dict[str, Any]) -> bool:
        name = hubserving_instance_of(container)
        own = container["Name"].lstrip("/")
        if own.startswith(f"{name}_service."):  # a task; Swarm keeps some that have ended
            return bool(container["State"]["Running"])
        return own in {name, f"{name}-candidate", f"{name}-previous"}

    return [container for container in containers if is_own(container)]


def hubserving_instance_of(container: dict[str, Any]) -> str:
    """The instance that a container belongs to."""
    return str(container["Config"]["Labels"]["org.ppocr.instance"])


def hubserving_of_others(
    containers: list[dict[str, Any]], names: Iterable[str]
) -> list[dict[str, Any]]:
    """The containers, of those the role made, whose instances are not among ``names``."""
    wanted = set(names)
    return [
        container for container in containers if hubserving_instance_of(container) not in wanted
    ]


def hubserving_mounted(containers: list[dict[str, Any]], target: str) -> list[str]:
    """The folders of the host that containers mount at ``target``."""
    mounts = (mount for container in containers for mount in container.get("Mounts") or [])
    return sorted({m["Source"] for m in mounts if m["Destination"] == target and m.get("Source")})


def hubserving_images(lines: list[str], repository: str) -> list[str]:
    """What to remove of images with the project's labels.

    Args:
        lines: the host's, each ``ID name:tag``.
        repository: the name of the project's images without tag.

    Returns:
        Names, and then IDs of images without one.
    """
    rows = [line.split(" ", 1) for line in lines]
    names = [name for _, name in rows if name.rpartition(":")[0] == repository]
    named = {found for found, name in rows if not name.startswith("<none>")}
    loose = [found for found, name in rows if name.startswith("<none>") and found not in named]
    return [
        *dict.fromkeys(name for name in names if not name.endswith(":<none>")),
        *dict.fromkeys(loose),
    ]


class FilterModule:
    """Filters on containers and images."""

    def filters(self) -> dict[str, object]:
        return {
            "hubserving_rollback": hubserving_rollback,
            "hubserving_own": hubserving_own,
            "hubserving_instance_of": hubserving_instance_of,
            "hubserving_of_others": hubserving_of_others,
            "hubserving_mounted": hubserving_mounted,
            "hubserving_images": hubserving_images,
        }
