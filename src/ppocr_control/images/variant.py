"""Which image a host's settings need: decided here, and nowhere else.

The name of the image, its plan, its build and the checks of an image from elsewhere all ask here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppocr_contract import config, paddle

from ..instances import Instance, instances
from . import hub_modules

#: What ends the tag of an image for GPUs.
GPU_SUFFIX = "-gpu"


@dataclass(frozen=True)
class Variant:
    """An image for a host.

    Attributes:
        suffix: of its tag.
        paddle: whether it has Paddle, as its label says it.
        why: the setting that asks for it, as a sentence without its end.
        error: what is wrong with that choice, as a sentence; empty if nothing is.
    """

    suffix: str
    paddle: str
    why: str
    error: str = ""


def choose(host: Mapping[str, Any]) -> Variant:
    """Return the image for a host, from its variables as the inventory has them."""
    device = GPU_SUFFIX if host.get("ppocr_device", "cpu") == "gpu" else ""
    asked, needed = host.get("ppocr_image_paddle", "auto"), why_paddle(host)
    if asked == paddle.WITHOUT:
        error = f"{needed}, and ppocr_image_paddle is without: set it to auto" if needed else ""
        return Variant(device, paddle.WITHOUT, "ppocr_image_paddle is without", error)
    if needed or asked == paddle.WITH:
        why = needed or "ppocr_image_paddle is with"
        return Variant(device + paddle.SUFFIX, paddle.WITH, why)
    return Variant(device, paddle.WITHOUT, "no setting needs it")


def refusal(image: str, label: str, host: Mapping[str, Any]) -> str:
    """Why a host cannot serve from an image, as a sentence; empty if it can.

    Args:
        image: its name.
        label: what it says of Paddle; empty for one of a former version, or of others.
        host: variables of the host.
    """
    needed = why_paddle(host) if label == paddle.WITHOUT else ""
    return f"{image} has no Paddle, and {needed}: {paddle.REMEDY}" if needed else ""


def why_paddle(host: Mapping[str, Any]) -> str:
    """Return the first setting of a host that needs Paddle, as a clause; empty if none does."""
    return next(_reasons(host), "")


def engines(host: Mapping[str, Any]) -> Iterator[str]:
    """The engines that the instances of a host ask for; an empty text for the device's own."""
    for instance in instances(host):
        if own := _own_modules(instance):
            ours = (info for name, info in own.items() if name in config.OUR_MODULES)
            yield from (str(info["init_args"].get("engine", "")) for info in ours)
        else:
            yield instance.get("engine") or ""


def _reasons(host: Mapping[str, Any]) -> Iterator[str]:
    command = host.get("hubserving_command") or [""]
    if command[0] == "hub":
        yield "hubserving_command is hub"
    for instance in instances(host):
        whose = f" (instance {instance.name})" if "name" in instance.entry else ""
        for name, value in (("server", "hub"), ("engine", "paddle")):
            if instance.get(name) == value:
                yield f"hubserving_{name} is {value}{whose}"
        if why := _of_config(_own_modules(instance)):
            yield f"hubserving_config_file{whose} needs it: {why}"
    try:
        why = hub_modules.why_paddle(
            host.get("ppocr_image_extra_modules") or [],
            host.get("ppocr_image_extra_requirements") or [],
        )
    except hub_modules.ModuleError:  # the image's plan says so
        return
    if why:
        yield why


def _own_modules(instance: Instance) -> dict[str, dict[str, Any]]:
    """The modules of an instance's own config.json; none where it has none, or a wrong one."""
    own = instance.get("config_file")
    try:
        return config.load(Path(own).expanduser()).modules if own else {}
    except config.ConfigError:  # the check of the configuration says so
        return {}


def _of_config(modules: Mapping[str, Mapping[str, Any]]) -> str:
    """Why an operator's config.json needs Paddle; of a folder of the container nobody knows."""
    outside = [name for name, info in modules.items() if "directory" in info["init_args"]]
    if outside:
        return f"{outside[0]} has a directory of its own"
    return paddle.of_config(modules, lambda name: None)
