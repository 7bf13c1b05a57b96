"""Exports the best checkpoint, verifies the model, and packs it with what a service needs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ppocr_training import config
from ppocr_training.findings import Finding, Report
from ppocr_training.job import Job, Places

from . import card, child, record
from .checkpoints import take
from .places import EXPORT, RUN

#: A model that was exported elsewhere, to be proved instead of a new one.
GIVEN = Path("/exported")


def export(job: Job, places: Places) -> Report:
    """Export, prove and pack; what a report refuses is not packed."""
    with tempfile.TemporaryDirectory(prefix="export-", dir=RUN) as folder:
        return _export(job, places, take(Path(folder) / "best"))


def _export(job: Job, places: Places, kept: dict[str, Any] | None) -> Report:
    report = Report()
    if kept is None:
        remedy = "train first (playbooks/train.yml); without an evaluation no best model is kept"
        report.add(
            [Finding("export", "trainer_name", "the run has no best model", remedy, fatal=True)]
        )
    elif not kept[kept["indicator"]]:
        remedy = "look at the report of the training, and at the labels"
        what = f"the best {kept['indicator']} is 0"
        report.add([Finding("export", "trainer_name", what, remedy, fatal=True)])
    if report.refusals or kept is None:
        return report
    part = RUN / "export.part"
    shutil.rmtree(part, ignore_errors=True)
    if GIVEN.exists():
        shutil.copytree(GIVEN, part)
    else:
        _by_the_tool(job, places, kept["prefix"], part)
    file = job.dictionary(places, job.base(places))
    if file and not (part / "dict.txt").exists():
        shutil.copyfile(file, part / "dict.txt")
    proof = child.call("prove", str(kept["prefix"]), str(part))
    if "refused" in proof:
        shutil.rmtree(part)
        where = "trainer_exported" if GIVEN.exists() else "trainer_name"
        report.add(
            [Finding("proof", where, "the exported model is refused", proof["refused"], fatal=True)]
        )
        return report
    general = _general(job, places, kept["prefix"])
    settings = config.merged(job.base(places), job.overrides)
    kind = config.value(settings, "Architecture.model_type", "rec")
    report.facts |= {"kind": kind, "proof": proof, "general": general}
    about = {
        "best": {key: value for key, value in kept.items() if key != "prefix"},
        "proof": proof,
        "general_set": general,
        "trained_with": record.read(),
        "files": {path.name: _sha256(path) for path in sorted(part.iterdir()) if path.is_file()},
    }
    card.write(part, about)
    shutil.rmtree(EXPORT, ignore_errors=True)
    part.rename(EXPORT)
    return report


def _by_the_tool(job: Job, places: Places, checkpoint: Path, target: Path) -> None:
    options = job.options(places, RUN / "output")
    options |= {
        "Global.pretrained_model": str(checkpoint),
        "Global.save_inference_dir": str(target),
    }
    command = [sys.executable, *job.tool("export_model", options)]
    done = subprocess.run(command, cwd=places.source, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"tools/export_model.py failed: {(done.stderr or done.stdout)[-1500:]}")


def _general(job: Job, places: Places, checkpoint: Path) -> dict[str, Any]:
    """Metrics on the general set before and after, so that forgetting is seen."""
    if not job.general_labels:
        return {}
    before = places.pretrained.with_suffix("") if places.pretrained else None
    return {
        "before": child.call("measure", str(before)) if before else None,
        "after": child.call("measure", str(checkpoint)),
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
