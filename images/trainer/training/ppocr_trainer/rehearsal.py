"""A dry run up to the first step, for the checks that need the real model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paddle

from ppocr_training import labels
from ppocr_training.checks import check_evaluated
from ppocr_training.config import value
from ppocr_training.findings import Finding, Report
from ppocr_training.job import Job, Places

from . import captured
from .places import RUN

#: Copies of the model's tensors that a run keeps: three of them with the optimizer's two moments.
_COPIES = 12
#: Shared memory in bytes that each of the loaders' processes takes for pictures in flight.
_SHARED_A_WORKER = 64 << 20


def rehearse(job: Job, places: Places) -> Report:
    """Examine what takes the model: weights, last layer, time steps, and room."""
    report = Report(accepted=frozenset(job.accept))
    report.add(_check_cards(job))
    if report.refusals:
        return report  # the tool would end with a traceback
    with tempfile.TemporaryDirectory() as output:
        options = job.options(places, Path(output))
        arguments = captured.reach(places.source, job.tool("train", options), "train")
    config = arguments[0]
    model = captured.model_of(arguments)
    decoder = next((each for each in arguments if hasattr(each, "character")), None)
    if places.pretrained:
        weights = captured.loaded(model, places.pretrained)
        report.facts["weights"] = {key: weights[key] for key in ("of", "loaded")}
        report.add(_check_weights(weights))
    loaders = [each for each in arguments if hasattr(each, "batch_sampler")]
    steps = max(len(loaders[0]) // job.together, 1)  # the rehearsal is one process
    report.facts["steps_an_epoch"] = steps
    report.add(check_evaluated(config["Global"], steps))
    if decoder is not None and len(loaders) > 1:
        columns, width = _output(model, loaders[1])
        report.facts |= {"columns": columns, "width": width}
        report.add(_check_width(width, len(decoder.character)))
        report.add(_check_columns(job, places, config, columns))
    report.add(_check_room(config, model))
    return report


def _check_cards(job: Job) -> Iterator[Finding]:
    if job.device != "gpu":
        return
    asked, there = len(job.cards.split(",")), paddle.device.cuda.device_count()
    if there < asked:
        yield Finding(
            "cards", "trainer_cards", f"of {asked} cards {there} are there",
            "name cards that nvidia-smi lists", fatal=True,
        )  # fmt: skip


def _check_weights(weights: dict[str, Any]) -> Iterator[Finding]:
    if weights["loaded"] < weights["of"]:
        yield Finding(
            "weights", "trainer_pretrained",
            f"{weights['loaded']} of {weights['of']} tensors are loaded from it; "
            f"not {', '.join(weights['not_loaded'][:3])}",
            "give the weights of this config and dictionary, or put the check into trainer_accept "
            "where the dictionary is another one on purpose",
        )  # fmt: skip


def _output(model: paddle.nn.Layer, loader: Any) -> tuple[int, int]:
    """Time steps and width of what the model answers; zeros where it is no sequence."""
    model.eval()
    with paddle.no_grad():
        answer = model(next(iter(loader))[0])
    if isinstance(answer, dict):
        answer = answer.get("ctc", next(iter(answer.values())))
    shape = getattr(answer, "shape", [])
    return (int(shape[1]), int(shape[2])) if len(shape) == 3 else (0, 0)


def _check_width(width: int, characters: int) -> Iterator[Finding]:
    if width and width != characters:
        yield Finding(
            "last_layer", "trainer_dictionary",
            f"the model's last layer is {width} wide, and dictionary, blank and space make "
            f"{characters}",
            "correct trainer_dictionary or Global.use_space_char",
        )  # fmt: skip


def _check_columns(
    job: Job, places: Places, config: dict[str, Any], columns: int
) -> Iterator[Finding]:
    """CTC needs a time step for each character, and one more between two equal ones."""
    files = [("Train", name) for name in job.train_labels]
    files += [("Eval", name) for name in job.validation_labels]
    for part, name in files if columns else ():
        delimiter = value(config, f"{part}.dataset.delimiter", "\t")
        for line in labels.read(places.data / name, places.data, delimiter)[0]:
            equal = sum(
                one == other for one, other in zip(line.label, line.label[1:], strict=False)
            )
            if len(line.label) + equal > columns:
                yield Finding(
                    "label_columns", line.place,
                    f"the label takes {len(line.label) + equal} time steps, and the model has "
                    f"{columns}: its loss would be 0",
                    "widen the pictures (image_shape in the config), or cut them",
                )  # fmt: skip


def _check_room(config: dict[str, Any], model: paddle.nn.Layer) -> Iterator[Finding]:
    tensors = sum(int(tensor.size) for tensor in model.state_dict().values())
    needed, free = tensors * 4 * _COPIES + (100 << 20), shutil.disk_usage(RUN).free
    if free < needed:
        yield Finding(
            "disk", "trainer_dir",
            f"{free >> 20} MiB are free, and a run needs about {needed >> 20}",
            "make room, or name another folder",
        )  # fmt: skip
    workers = max(config[part]["loader"].get("num_workers", 0) for part in ("Train", "Eval"))
    shared = shutil.disk_usage("/dev/shm").total  # noqa: S108 - it is measured, not written
    if workers * _SHARED_A_WORKER > shared:
        yield Finding(
            "shared_memory", "trainer_shm",
            f"{shared >> 20} MiB of shared memory are too little for {workers} workers of a loader",
            f"set trainer_shm: {workers * 64}m, or num_workers: 0 in trainer_overrides",
        )  # fmt: skip
