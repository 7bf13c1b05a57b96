"""What is trained with what: the settings of a run, and where its files lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import config

#: Keys that a setting of its own gives.
RESERVED = {
    "Global.use_gpu": "trainer_device",
    "Global.epoch_num": "trainer_epochs",
    "Global.eval_batch_step": "trainer_evaluate_every",
    "Global.pretrained_model": "trainer_pretrained",
    "Global.checkpoints": "nothing (a run goes on from its last checkpoint by itself)",
    "Global.save_model_dir": "nothing (it is the run's folder)",
    "Global.save_inference_dir": "nothing (it is the run's folder)",
    "Global.character_dict_path": "trainer_dictionary",
    "Global.save_epoch_step": "nothing (the last and the best checkpoint are kept)",
    "Global.export_with_pir": "nothing (models are exported in the form of Paddle 2)",
    "Train.dataset.data_dir": "trainer_data",
    "Train.dataset.label_file_list": "trainer_train_labels",
    "Eval.dataset.data_dir": "trainer_data",
    "Eval.dataset.label_file_list": "trainer_validation_labels",
}


#: More epochs than a run has: the tools would fill the disk with a checkpoint for each.
_NEVER = 10**9


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the files of a run lie, on the control node or in the container.

    Attributes:
        source: the PaddleOCR checkout.
        data: the data set; pictures' paths begin here.
        dictionary: the operator's; none for the config's own.
        pretrained: weights to begin with (``.pdparams``); none to begin from scratch.
    """

    source: Path
    data: Path
    dictionary: Path | None = None
    pretrained: Path | None = None


@dataclasses.dataclass(frozen=True)
class Job:
    """The settings of a run, as the role passes them.

    Attributes:
        config: path in the checkout.
        overrides: dotted keys of the config and their values.
        train_labels, validation_labels, general_labels: label files, paths in the data set.
        device: cpu or gpu.
        cards: numbers of the cards to train on, separated by commas; empty for the first.
        processes: how many train together on a CPU.
        epochs: 0 for the config's.
        evaluate_every: steps between two evaluations; 0 for the config's.
        accept: names of checks whose findings are accepted.
        commit: of the checkout, where it is known.
    """

    config: str
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    train_labels: tuple[str, ...] = ("train.txt",)
    validation_labels: tuple[str, ...] = ("val.txt",)
    general_labels: tuple[str, ...] = ()
    device: str = "cpu"
    cards: str = ""
    processes: int = 1
    epochs: int = 0
    evaluate_every: int = 0
    accept: tuple[str, ...] = ()
    commit: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        known = {field.name for field in dataclasses.fields(cls)}
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.items()
            if key in known
        }
        return cls(**given)

    @property
    def together(self) -> int:
        """How many processes train together, each with its share of the lines."""
        return max(self.processes, len(self.cards.split(",")))

    def base(self, places: Places) -> dict[str, Any]:
        """The config of the checkout.

        Raises:
            ConfigError: it cannot be read.
        """
        return config.load(places.source / self.config)

    def dictionary(self, places: Places, base: Mapping[str, Any]) -> Path | None:
        """The dictionary that counts: the operator's, else the config's own."""
        own = config.value(config.merged(base, self.overrides), "Global.character_dict_path")
        return places.dictionary or (places.source / own if own else None)

    def options(self, places: Places, output: Path) -> dict[str, Any]:
        """All that is set for PaddleOCR's tools: the overrides, and what the other settings say."""
        labels = (("Train", self.train_labels), ("Eval", self.validation_labels))
        given: dict[str, Any] = {**self.overrides, "Global.use_gpu": self.device == "gpu"}
        for part, files in labels:
            given[f"{part}.dataset.data_dir"] = str(places.data)
            given[f"{part}.dataset.label_file_list"] = [str(places.data / name) for name in files]
        given["Global.save_model_dir"] = str(output)
        given["Global.save_epoch_step"] = _NEVER
        given["Global.export_with_pir"] = False
        if self.epochs:
            given["Global.epoch_num"] = self.epochs
        if self.evaluate_every:
            given["Global.eval_batch_step"] = [0, self.evaluate_every]
            given["Global.eval_batch_epoch"] = None  # it would count more
        if places.dictionary:
            given["Global.character_dict_path"] = str(places.dictionary)
        # Named in either case: a config may have a value of its own for them.
        given["Global.pretrained_model"] = (
            str(places.pretrained).removesuffix(".pdparams") if places.pretrained else None
        )
        given["Global.checkpoints"] = None
        return given

    def tool(self, name: str, options: Mapping[str, Any]) -> list[str]:
        """The command line of one of the checkout's tools, with one ``-o``."""
        return [f"tools/{name}.py", "-c", self.config, *config.arguments(options)]

    def training(self, options: Mapping[str, Any], logs: Path) -> list[str]:
        """The command line that trains, without the interpreter: on several cards by a launcher.

        Args:
            options: see :meth:`options`.
            logs: folder where the launcher writes what each process says.
        """
        launch = ["-m", "paddle.distributed.launch", "--log_dir", str(logs)]
        if "," in self.cards:
            launch += ["--gpus", self.cards]
        elif self.processes > 1:
            launch += ["--nproc_per_node", str(self.processes)]
        else:
            launch = []
        return [*launch, *self.tool("train", options)]
