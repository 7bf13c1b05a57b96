"""What became of one host."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ..progress import megabytes


@dataclass
class Result:
    """What became of one host. Sizes in bytes, time in seconds."""

    host: str
    changed: bool = False
    mode: str = "none"
    blobs: int = 0
    sent: int = 0
    resumed: int = 0
    #: Bytes that came from a relay, and its name.
    relayed: int = 0
    relay: str = ""
    seconds: float = 0.0
    image_id: str = ""
    notes: list[str] = field(default_factory=list)
    error: str = ""
    status: int = 0
    #: Seconds of each step, those all hosts waited for together (look, compress) among them.
    steps: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count what happens inside as part of a step."""
        started = time.monotonic()
        try:
            yield
        finally:
            spent = self.steps.get(step, 0.0) + time.monotonic() - started
            self.steps[step] = round(spent, 2)

    def note(self, text: str) -> None:
        """Add a sentence for a person, once however often a step is tried."""
        if text not in self.notes:
            self.notes.append(text)

    def summary(self) -> str:
        """One line for a person."""
        if self.error:
            return f"{self.host}: {self.error}"
        if not self.changed:
            return f"{self.host}: has it already; {'; '.join(self.notes) or 'nothing sent'}"
        text = f"{self.host}: {self.mode}, {self.blobs} layers, {megabytes(self.sent)} sent"
        if self.relayed:
            text += f", {megabytes(self.relayed)} from {self.relay}"
        if self.mode == "registry":
            text = f"{self.host}: pulled from the registry"
        if self.resumed:
            text += f" ({megabytes(self.resumed)} were there from an earlier try)"
        return f"{text}, {self.seconds:.1f} s" + "".join(f"; {note}" for note in self.notes)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
