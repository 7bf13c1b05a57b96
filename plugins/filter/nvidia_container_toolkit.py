"""Filters of the role nvidia_container_toolkit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from ppocr_contract import cards
from ppocr_hosts import nvidia_gpu


def nvidia_container_toolkit_choice_error(setting: Any) -> str:
    """What is wrong with the form of ``ppocr_cuda_visible_devices``, whatever the host; or ''."""
    try:
        nvidia_gpu.wanted(setting)
    except nvidia_gpu.ChoiceError as error:
        return str(error)
    return ""


def nvidia_container_toolkit_cdi_name(device: dict[str, str], known: Iterable[str]) -> str:
    """The CDI name of a chosen card: by its UUID where it was chosen so and that name is known."""
    names = [f"nvidia.com/gpu={device['uuid']}", f"nvidia.com/gpu={device['index']}"]
    by_uuid = device["name"] == device["uuid"] and names[0] in set(known)
    return names[0] if by_uuid else names[1]


def nvidia_container_toolkit_library(engines: Iterable[str]) -> dict[str, Any]:
    """What the GPU image computes with, of the engines its instances ask for.

    Its ``engine``, ``cuda``, the oldest ``driver``, and the ``remedy`` for cards it does not serve.
    """
    engine = cards.engine_of(engines)
    return {"engine": engine, **dataclasses.asdict(cards.LIBRARIES[engine])}


def nvidia_container_toolkit_unserved(chosen: Iterable[dict[str, str]], engine: str) -> str:
    """What is wrong with the first chosen card the image has no kernels for; empty for none.

    Where the driver does not tell a card's compute capability, the container asks.
    """
    for card in chosen:
        name = f"card {card['index']} ({card['model']})"
        kernels = cards.LIBRARIES[engine].kernels
        if card["capability"] and (
            wrong := cards.unserved(name, card["capability"], kernels, engine)
        ):
            return wrong
    return ""


class FilterModule:
    """Filters of the role nvidia_container_toolkit."""

    def filters(self) -> dict[str, object]:
        return {
            "nvidia_container_toolkit_choice_error": nvidia_container_toolkit_choice_error,
            "nvidia_container_toolkit_cdi_name": nvidia_container_toolkit_cdi_name,
            "nvidia_container_toolkit_library": nvidia_container_toolkit_library,
            "nvidia_container_toolkit_unserved": nvidia_container_toolkit_unserved,
        }
