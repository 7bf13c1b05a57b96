"""Checkpoints that outlive a kill, and the best one so far.

PaddleOCR overwrites ``latest`` and ``best_accuracy`` in place: a kill in between leaves neither
whole. And after a resume it has forgotten the best accuracy, so the first evaluation overwrites
the best model even with a worse one. So both are copied as they become whole, and what they
replace is removed only when the copy is on the disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

from .places import KEPT, OUTPUT, write_json

#: What a checkpoint consists of; the last is written last.
_SUFFIXES = (".pdparams", ".pdopt", ".states")
_PREFIX = "model"
#: What the folder of a checkpoint is called while another takes its place.
_FORMER = ".former"
#: How often the best one is copied anew because it was replaced meanwhile.
_TRIES = 5
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
        if not folder.suffix  # no .part
        and all((folder / f"{_PREFIX}{suffix}").is_file() for suffix in _SUFFIXES)
    ]
    return max(found, key=lambda each: each.epoch, default=None)


def torn(kept: Path = KEPT) -> str:
    """Why a run with checkpoints cannot resume; empty where it can, or has none yet."""
    folders = [folder for folder in kept.glob("epoch-*") if not folder.suffix]
    if not folders or last(kept):
        return ""
    folder = max(folders, key=lambda each: int(each.name.partition("-")[2]))
    names = [f"{_PREFIX}{suffix}" for suffix in _SUFFIXES]
    missing = ", ".join(name for name in names if not (folder / name).is_file())
    return (
        f"run/kept/{folder.name} has no {missing}, and the run would begin at its first epoch: "
        "put it back, or begin a new run with another trainer_name"
    )


def best(kept: Path = KEPT) -> dict[str, Any] | None:
    """The best one's metrics, with ``epoch`` and ``prefix``."""
    for folder in (kept / "best", kept / f"best{_FORMER}"):
        with contextlib.suppress(FileNotFoundError):
            metrics: dict[str, Any] = json.loads((folder / "best.json").read_text())
            return metrics | {"prefix": folder / _PREFIX}
    return None


def take(target: Path, kept: Path = KEPT) -> dict[str, Any] | None:
    """Copy the best one, which a run under way may replace at any time; return it as it is there.

    Raises:
        OSError: it cannot be read or written.
    """
    for _ in range(_TRIES):
        found = best(kept)
        if found is None:
            return None
        shutil.rmtree(target, ignore_errors=True)
        try:
            shutil.copytree(found["prefix"].parent, target)
        except (FileNotFoundError, shutil.Error):
            continue
        if best(kept) == found:
            return found | {"prefix": target / _PREFIX}
    raise OSError(f"{kept / 'best'} was replaced {_TRIES} times while it was copied")


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
        if states is None or not self._copy("latest", f"epoch-{states['epoch']}"):
            return False
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

    def _whole(self, name: str) -> bool:
        """Whether the tools have not begun to overwrite what was seen; if so, look again."""
        files = [self.output / f"{name}{suffix}" for suffix in _SUFFIXES]
        if all(file.exists() for file in files):
            *others, states = (file.stat().st_mtime_ns for file in files)
            if states == self._seen.get(name) and max(others) <= states:
                return True
        self._seen.pop(name, None)
        return False

    def _states(self, name: str) -> dict[str, Any] | None:
        if not self._whole(name):
            return None
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

    def _copy(self, name: str, folder: str, about: dict[str, Any] | None = None) -> bool:
        """Put a checkpoint into a folder that is there whole or not at all; return whether it is.

        Raises:
            OSError: the disk is full.
        """
        part, target = self.kept / f"{folder}.part", self.kept / folder
        former = self.kept / f"{folder}{_FORMER}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            for suffix in _SUFFIXES:
                shutil.copyfile(self.output / f"{name}{suffix}", part / f"{_PREFIX}{suffix}")
            if about is not None:
                write_json(part / "best.json", about)
            _sync(*part.iterdir(), part)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)  # room for the status, which says so
            raise
        if not self._whole(name):
            shutil.rmtree(part)
            return False
        if target.exists():
            shutil.rmtree(former, ignore_errors=True)
            target.rename(former)
        part.rename(target)
        _sync(self.kept)
        shutil.rmtree(former, ignore_errors=True)
        return True


def _sync(*paths: Path) -> None:
    """Have files and folders on the disk, not in the memory of the host alone."""
    for path in paths:
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
