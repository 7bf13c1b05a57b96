"""Filters on the choice of the image, for all roles that name it or check one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ppocr_control.images import variant
from ppocr_control.instances import instances


def image_variant(host: Mapping[str, Any]) -> dict[str, str]:
    """The image for a host, from its variables: ``suffix``, ``paddle``, ``why`` and ``error``."""
    return asdict(variant.choose(host))


def image_refusal(label: str, image: str, host: Mapping[str, Any]) -> str:
    """Why a host cannot serve from an image with this label on Paddle, as a sentence; or ''."""
    return variant.refusal(image, label.strip(), host)


def image_engines(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """The engines that the instances of hosts ask for; an empty text for the device's own."""
    return [engine for host in hosts for engine in variant.engines(host)]


def image_settings(hosts: Iterable[Mapping[str, Any]], name: str) -> list[Any]:
    """What a setting of the service is for each instance of hosts, None where it is not set.

    Args:
        hosts: the variables of each.
        name: as in an entry of ``hubserving_instances``, without ``hubserving_``.
    """
    return [instance.get(name) for host in hosts for instance in instances(host)]


def image_staging(configured: str) -> str:
    """The project's own folder in the staging folder of a host."""
    # Not above: every process that renders a template would take the time to import it.
    from ppocr_control.shipping import staging

    return staging.base(configured)


class FilterModule:
    """The filters."""

    def filters(self) -> dict[str, object]:
        return {
            "image_variant": image_variant,
            "image_refusal": image_refusal,
            "image_engines": image_engines,
            "image_settings": image_settings,
            "image_staging": image_staging,
        }
