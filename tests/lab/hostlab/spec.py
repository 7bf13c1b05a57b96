"""What a lab host should be like."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .engine import LabError

SUITES = ("bullseye", "bookworm", "trixie")
CHOICES = {
    "suite": SUITES,
    "sudo": ("nopasswd", "password", "none"),
    "engine": ("installed", "none"),
    "network": ("normal", "internal"),
}


@dataclass(frozen=True)
class HostSpec:
    """One host. Raises LabError for what cannot be."""

    name: str
    suite: str = "bookworm"
    user: str = "root"
    sudo: str = "nopasswd"  # of a user other than root: nopasswd | password | none
    port: int = 22
    engine: str = "installed"  # Docker from the distribution, or none
    network: str = "normal"  # internal: only this machine and hosts of that network are reached
    memory_mb: int | None = None
    disks: Mapping[str, int] = field(default_factory=dict)  # folder: MB; in memory, lost at reboot

    def __post_init__(self) -> None:
        for name, pattern in (("name", r"[a-z][a-z0-9-]{0,30}"), ("user", r"[a-z][a-z0-9_-]*")):
            if not re.fullmatch(pattern, getattr(self, name)):
                raise LabError(f"host {name} {getattr(self, name)!r} does not match {pattern}")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise LabError(
                    f"host {self.name}: {name} is {getattr(self, name)!r}, not one of {allowed}"
                )
        if not 0 < self.port < 65536:
            raise LabError(f"host {self.name}: no such SSH port: {self.port}")

    def to_json(self) -> str:
        """For the container's label, so that the engine is the only record of what runs."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> HostSpec:
        return cls(**json.loads(text))

    @classmethod
    def parse(cls, text: str, **others: Any) -> HostSpec:
        """Read ``NAME[:SUITE[:USER[:PORT]]]`` as typed on a command line; raises LabError."""
        name, *rest = text.split(":")
        if len(rest) > 3:
            raise LabError(f"{text!r} is not NAME[:SUITE[:USER[:PORT]]]")
        typed: dict[str, Any] = dict(zip(("suite", "user", "port"), rest, strict=False))
        if "port" in typed:
            if not typed["port"].isdigit():
                raise LabError(f"{text!r}: the port is not a number")
            typed["port"] = int(typed["port"])
        return cls(name=name, **typed, **others)
