"""Filters of the role bundle."""

from __future__ import annotations

from ppocr_control.layers.image_archive import ARCHITECTURES


def bundle_architecture(machine: str) -> str:
    """Docker's name of an architecture, by the kernel's: amd64 for x86_64."""
    return ARCHITECTURES.get(machine, machine)


class FilterModule:
    """Filters of the role bundle."""

    def filters(self) -> dict[str, object]:
        return {"bundle_architecture": bundle_architecture}
