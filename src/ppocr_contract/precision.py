"""Whether a model may compute in bf16: what ``hubserving_precision: auto`` means for an image.

Decided by reading, when the image is built: bf16 is for models that read no fewer lines right in it
than in f32. The verdict lies beside the models, with the counts it rests on.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from .models import MODELS_ROOT

BF16, F32 = "bf16", "f32"
#: The verdict, in the folder of the models.
VERDICT_FILE = "precision.json"
#: What a named model read elsewhere, beside it: for builders that cannot compute in bf16.
READS_FILE = "reads.json"
#: With fewer lines than this, read correctly in f32, the result is not significant.
LEAST_LINES = 100


@dataclasses.dataclass(frozen=True)
class Reads:
    """How many lines hard to read a recognition model read exactly.

    Attributes:
        lines: that were drawn.
        f32, bf16: of them, right in that precision.
    """

    lines: int
    f32: int
    bf16: int

    def __str__(self) -> str:
        return f"of {self.lines} lines bf16 read {self.bf16} right, f32 {self.f32}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What ``auto`` means, and why."""

    precision: str
    why: str
    reads: Reads | None = None

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")


def decide(reads: Reads, where: str) -> Verdict:
    """The verdict on what was read; ``where`` says on what machine."""
    if reads.f32 < LEAST_LINES:
        why = f"{reads} ({where}), and fewer than {LEAST_LINES} in f32 are too few"
        return Verdict(F32, why, reads)
    return Verdict(BF16 if reads.bf16 >= reads.f32 else F32, f"{reads} ({where})", reads)


def verdict(root: Path = MODELS_ROOT) -> Verdict:
    """The verdict on the models in a folder; f32 where there is none."""
    try:
        given: dict[str, Any] = json.loads((root / VERDICT_FILE).read_text(encoding="utf-8"))
        reads = given["reads"]
        return Verdict(given["precision"], given["why"], Reads(**reads) if reads else None)
    except FileNotFoundError:
        return Verdict(F32, f"{root} has no {VERDICT_FILE}: its models were not read in bf16")
