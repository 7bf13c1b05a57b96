"""Trains: starts PaddleOCR's tool, follows it, starts it again from the last checkpoint.

The process stays when training has ended, so that the engine, which starts it again after a
reboot, does not train anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ppocr_training import config
from ppocr_training.job import Job, Places

from . import progress
from .checkpoints import Keeper, best, last, torn
from .places import OUTPUT, RUN, STATUS, write_json

#: Ends without a new checkpoint after which a run has failed.
_ATTEMPTS = 3
_POLL_SECONDS = 1.0
#: What the tool may take to end before it is killed; twice that is less than --stop-timeout.
_GRACE_SECONDS = 10
_LOG = RUN / "console.log"


class Training:
    """A run from its first start to its last epoch, over kills and reboots."""

    def __init__(self, job: Job, places: Places) -> None:
        merged = config.merged(job.base(places), job.overrides)
        self.job, self.places = job, places
        self.epochs = int(job.epochs or merged["Global"]["epoch_num"])
        indicator = config.value(merged, "Metric.main_indicator", "acc")
        self.keeper = Keeper(indicator)
        before = json.loads(STATUS.read_text()) if STATUS.exists() else {}
        curve = before.get("curve", [])
        self.status: dict[str, Any] = {
            "epochs": self.epochs,
            "indicator": indicator,
            "curve": curve,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0

    def run(self) -> None:
        """Train until the last epoch, or until it has failed; the status says which."""
        signal.signal(signal.SIGTERM, self._interrupted)
        try:
            self._train()
        except OSError as error:
            self._kill()
            # Where the disk has no room even for that, the log of the container has it.
            print(f"training failed: {error}")
            with contextlib.suppress(OSError):
                self._tell("failed", why=[f"{error} (make room in trainer_dir)"])

    def _train(self) -> None:
        if why := torn():
            return self._tell("failed", why=[why])
        failures = 0
        while failures < _ATTEMPTS:
            begin = last()
            if begin and begin.epoch >= self.epochs:
                return self._tell("finished", epoch=begin.epoch, left="0:00:00")
            code = self._once(begin.prefix if begin else None)
            now = last()
            failures = 0 if now != begin else failures + 1
            if code == 0 and now == begin:
                break  # the tool ended well and did nothing: it would again
            if code:
                print(
                    f"training ended with {code}, and goes on from epoch {now.epoch if now else 0}"
                )
        tail = _LOG.read_text(errors="replace").strip().splitlines()[-5:]
        return self._tell("failed", why=tail)

    def _once(self, checkpoint: Path | None) -> int:
        options = self.job.options(self.places, OUTPUT)
        options["Global.checkpoints"] = str(checkpoint) if checkpoint else None
        self._read = _LOG.stat().st_size if _LOG.exists() else 0
        with _LOG.open("ab") as console:
            self._process = subprocess.Popen(
                [sys.executable, *self.job.training(options, RUN / "workers")],
                cwd=self.places.source, stdout=console, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self._tell("training")
        while self._process.poll() is None:
            time.sleep(_POLL_SECONDS)
            self._follow()
        self._follow()
        return self._process.returncode

    def _follow(self) -> None:
        """Take in what the tool has written since the last look."""
        self.keeper.keep()
        with _LOG.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole + end)
        told = [
            progress.read(line, self.status) for line in whole.decode(errors="replace").split("\n")
        ]
        if any(told):
            self._tell("training")

    def _tell(self, state: str, **more: Any) -> None:
        found = best()
        kept = {key: each for key, each in found.items() if key != "prefix"} if found else None
        self.status |= {"state": state, "best": kept, "updated": int(time.time()), **more}
        write_json(STATUS, self.status)

    def _interrupted(self, *_: Any) -> None:
        """End with the container; the next start goes on from the last checkpoint."""
        self._kill()
        self._tell("interrupted")
        sys.exit(0)

    def _kill(self) -> None:
        """End the tool, with all its processes.

        By SIGTERM first: those of paddle.distributed.launch are in sessions of their own, and would
        train on without a launcher that was killed.
        """
        for each in (signal.SIGTERM, signal.SIGKILL):
            if self._process and self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, each)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GRACE_SECONDS)
