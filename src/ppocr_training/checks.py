"""All checks before training that do not need Paddle."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import config, dictionary, labels
from .findings import Finding, Report
from .job import RESERVED, Job, Places


def examine(job: Job, places: Places, readable: Callable[[Path], bool]) -> Report:
    """Examine checkout, config, overrides, dictionary, weights and data set of a run.

    Args:
        job: the settings.
        places: where its files lie.
        readable: whether a picture can be decoded.
    """
    report = Report(accepted=frozenset(job.accept))
    try:
        if not (places.source / "tools/train.py").is_file():
            raise config.ConfigError(f"{places.source} is no PaddleOCR checkout: no tools/train.py")
        base = job.base(places)
    except config.ConfigError as error:
        remedy = "correct trainer_source or trainer_config"
        report.add([Finding("config", "trainer_config", str(error), remedy, fatal=True)])
        return report
    report.add(config.check_overrides(base, job.overrides, RESERVED))
    report.add(_check_cards(job))
    if places.pretrained and not places.pretrained.is_file():
        what = f"there are no weights {places.pretrained}"
        report.add([Finding("weights", "trainer_pretrained", what, "correct the path", fatal=True)])
    merged = config.merged(base, job.overrides)
    kind = config.value(merged, "Architecture.model_type", "rec")
    characters: list[str] = []
    file = job.dictionary(places, base) if kind == "rec" else None
    if kind == "rec" and not file:
        what = "the config names no dictionary, and the model could not be exported"
        remedy = "give the file of its characters"
        report.add([Finding("dictionary", "trainer_dictionary", what, remedy, fatal=True)])
    if file:
        report.add(dictionary.check(file))
        characters = _characters(file)
        own = config.value(base, "Global.character_dict_path")
        if places.dictionary and own:
            before = _characters(places.source / own)
            report.add(dictionary.check_order(characters, before, str(file)))
        report.facts["characters"] = len(characters)
        if config.value(merged, "Global.use_space_char", False):
            characters = [*characters, " "]
    report.facts |= {"kind": kind, "epochs": job.epochs or config.value(base, "Global.epoch_num")}
    limits = labels.Limits(
        kind,
        frozenset(characters),
        int(config.value(merged, "Global.max_text_length", 25)),
        frozenset(config.value(merged, "Global.label_list", labels.CLASSES)),
    )
    _examine_data(job, places, merged, limits, readable, report)
    return report


def _characters(file: Path) -> list[str]:
    try:
        return dictionary.read(file)
    except (OSError, UnicodeDecodeError):
        return []


def _check_cards(job: Job) -> Iterator[Finding]:
    if job.cards and not re.fullmatch(r"\d+(,\d+)*", job.cards):
        yield Finding(
            "cards", "trainer_cards", f"{job.cards!r} are no numbers of cards",
            "write them as 0,1,2,3", fatal=True,
        )  # fmt: skip
    if job.device == "cpu" and job.cards:
        yield Finding(
            "cards", "trainer_cards", "cards are named, and trainer_device is cpu",
            "set trainer_device: gpu, or leave trainer_cards empty", fatal=True,
        )  # fmt: skip
    if job.device == "gpu" and job.processes > 1:
        yield Finding(
            "cards", "trainer_processes", "processes are for CPUs, and trainer_device is gpu",
            "name the cards in trainer_cards", fatal=True,
        )  # fmt: skip


def _examine_data(
    job: Job,
    places: Places,
    merged: Mapping[str, Any],
    limits: labels.Limits,
    readable: Callable[[Path], bool],
    report: Report,
) -> None:
    parts: dict[str, list[labels.Line]] = {}
    sets = [
        ("Train", "trainer_train_labels", job.train_labels),
        ("Eval", "trainer_validation_labels", job.validation_labels),
    ]
    if job.general_labels:
        sets.append(("General", "trainer_general_labels", job.general_labels))
    for part, setting, names in sets:
        # The general set is read by the loader of the validation.
        section = "Train" if part == "Train" else "Eval"
        delimiter = config.value(merged, f"{section}.dataset.delimiter", "\t")
        lines: list[labels.Line] = []
        found: list[Finding] = []
        for name in names:
            report.add(_check_name(setting, name))
            try:
                read, trouble = labels.read(places.data / name, places.data, delimiter)
            except OSError:
                what, remedy = f"trainer_data has no file {name}", f"correct {setting}"
                report.add([Finding("labels", setting, what, remedy, fatal=True)])
                continue
            lines, found = lines + read, found + trouble
        found += [*labels.check(lines, limits), *labels.check_pictures(lines, readable)]
        report.add(found)
        # A line with an unknown character is trained with, without that character. The carriage
        # return of CRLF is one, and boxes may end with it; it makes another class, though.
        used = {"unknown_character"} | ({"label_line_end"} if limits.kind != "cls" else set())
        spoilt = {each.where for each in found if each.check not in used}
        parts[part] = [line for line in lines if line.place not in spoilt]
        report.facts[part.lower()] = {"lines": len(lines), "usable": len(parts[part])}
        if not parts[part]:
            report.add([_nothing_left(setting)])
    batch = _batch(merged)
    usable = len(parts["Train"])
    per_process = usable // job.together
    if usable and per_process < batch:
        report.add(
            [
                Finding(
                    "batch", "trainer_train_labels",
                    f"{usable} usable lines are fewer than a batch of {batch} a process",
                    "set Train.loader.batch_size_per_card in trainer_overrides", fatal=True,
                )
            ]
        )  # fmt: skip
    report.add(labels.check_shared(parts["Train"], parts["Eval"]))


def _check_name(setting: str, name: str) -> Iterator[Finding]:
    if "=" in name:
        yield Finding(
            "labels", setting, f"the tools end at {name}, as it has = in it", "rename the file",
            fatal=True,
        )  # fmt: skip
    if labels.outside(name):
        yield Finding(
            "labels", setting, f"{name} is outside trainer_data, which is all the host gets",
            "put the file into trainer_data, and write its path from there", fatal=True,
        )  # fmt: skip


def check_evaluated(settings: Mapping[str, Any], steps_an_epoch: int) -> Iterator[Finding]:
    """Refuse a run that ends before its first evaluation: it would have no best model.

    Args:
        settings: Global of the config, with the overrides.
        steps_an_epoch: batches that a process trains with in an epoch.
    """
    every = settings["eval_batch_step"]
    start, interval = every[:2] if isinstance(every, list) else (0, every)
    if isinstance(every, list) and settings.get("eval_batch_epoch"):
        start, interval = 0, settings["eval_batch_epoch"] * steps_an_epoch
    steps = steps_an_epoch * settings["epoch_num"]
    if start + interval > steps:
        yield Finding(
            "evaluation", "trainer_evaluate_every",
            f"the run has {steps} steps and the first evaluation is after {start + interval}: "
            "no best model would be kept, and none could be exported",
            f"set it to {steps_an_epoch}, the steps of an epoch",
        )  # fmt: skip


def _batch(merged: Mapping[str, Any]) -> int:
    size = config.value(merged, "Train.loader.batch_size_per_card")
    return int(size or config.value(merged, "Train.sampler.first_bs", 1))


def _nothing_left(setting: str) -> Finding:
    return Finding(
        "nothing_usable", setting,
        "no line of it can be used, and the tools would hang or measure nothing",
        "see the other findings", fatal=True,
    )  # fmt: skip
