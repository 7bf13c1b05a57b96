"""Checkpoints that outlive a kill, and the best one so far.

PaddleOCR overwrites ``latest`` and ``best_accuracy`` in place: a kill in between leaves neither
whole. And after a resume it has forgotten the best accuracy, so the first evaluation overwrites
the best model even with a worse one. So both are copied as they become whole.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

from .places import KEPT, OUTPUT, write_json

#: What a checkpoint consists of; the last is written last.
_SUFFIXES = (".pdparams", ".pdopt", ".states")
_PREFIX = "model"
#: What PaddleOCR keeps beside the metrics.
_NO_METRICS = {"best_epoch", "fps", "is_float16", "start_epoch"}


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: its number of epochs, and its path without suffix."""

    epoch: int
    prefix: Path


def last(kept: Path = KEPT) -> Checkpoint | None:
    """The newest whole checkpoint."""
    found = [
        Checkpoint(int(folder.name.partition("-")[2]), folder / _PREFIX)
        for folder in kept.glob("epoch-*")
        if all((folder / f"{_PREFIX}{suffix}").is_file() for suffix in _SUFFIXES)
    ]
    return max(found, key=lambda each: each.epoch, default=None)


def best(kept: Path = KEPT) -> dict[str, Any] | None:
    """The best one's metrics, with ``epoch`` and ``prefix``."""
    file = kept / "best/best.json"
    return (
        json.loads(file.read_text()) | {"prefix": kept / "best" / _PREFIX}
        if file.exists()
        else None
    )


@dataclasses.dataclass
class Keeper:
    """Copies what the tools have written whole.

    Attributes:
        indicator: the metric that decides which is best (``acc``, ``hmean``).
    """

    indicator: str
    output: Path = OUTPUT
    kept: Path = KEPT
    _seen: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        # What an earlier run left is known, or was torn when it was killed.
        for name in ("latest", "best_accuracy"):
            self._changed(name)

    def keep(self) -> bool:
        """Copy what is new; return whether there was a new checkpoint."""
        if self._changed("best_accuracy"):
            self._keep_best()
        if not self._changed("latest"):
            return False
        states = self._states("latest")
        if states is None:
            return False
        self._copy("latest", f"epoch-{states['epoch']}")
        newest = last(self.kept)
        for folder in self.kept.glob("epoch-*"):
            if newest and folder != newest.prefix.parent:
                shutil.rmtree(folder)
        return True

    def _changed(self, name: str) -> bool:
        file = self.output / f"{name}.states"
        when = file.stat().st_mtime_ns if file.exists() else 0
        changed, self._seen[name] = when != self._seen.get(name, 0), when
        return changed

    def _states(self, name: str) -> dict[str, Any] | None:
        try:
            with (self.output / f"{name}.states").open("rb") as file:
                states: dict[str, Any] = pickle.load(file)  # noqa: S301 - this run's own
        except (EOFError, pickle.UnpicklingError):
            self._seen.pop(name)  # half written: looked at again
            return None
        return states

    def _keep_best(self) -> None:
        states = self._states("best_accuracy")
        if states is None:
            return
        metrics = {
            key: float(value)
            for key, value in states["best_model_dict"].items()
            if key not in _NO_METRICS
        }
        before = best(self.kept)
        if before and before[self.indicator] >= metrics.get(self.indicator, 0.0):
            return
        self._copy(
            "best_accuracy",
            "best",
            {**metrics, "indicator": self.indicator, "epoch": states["epoch"]},
        )

    def _copy(self, name: str, folder: str, about: dict[str, Any] | None = None) -> None:
        """Put a checkpoint into a folder that is there whole or not at all."""
        part, target = self.kept / f"{folder}.part", self.kept / folder
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for suffix in _SUFFIXES:
            shutil.copyfile(self.output / f"{name}{suffix}", part / f"{_PREFIX}{suffix}")
        if about is not None:
            write_json(part / "best.json", about)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
