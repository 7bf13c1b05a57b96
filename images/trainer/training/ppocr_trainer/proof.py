"""Reads the validation lines by a checkpoint and by an exported model, and compares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import openvino
import paddle

from ppocr_training import dictionary
from ppocr_training.job import Job, Places

from . import captured

#: How far two confidences may be apart.
TOLERANCE = 1e-3
_SHOWN = 5


class Refused(Exception):
    """An exported model is not the checkpoint; the message says why, and what to do."""


def prove(job: Job, places: Places, checkpoint: Path, exported: Path) -> dict[str, Any]:
    """Compare an exported model with the checkpoint it was exported from.

    Args:
        job: the run's settings.
        places: where its files lie.
        checkpoint: path without suffix.
        exported: folder with inference.pdmodel, and dict.txt where the model reads text.

    Returns:
        Number of lines, largest difference of confidences, and accuracy on the validation set.

    Raises:
        Refused: they read differently, or the checkpoint's tensors are not all loaded.
    """
    options = job.options(places, Path("/tmp/proof"))  # noqa: S108 - the container's own
    options["Global.pretrained_model"] = str(checkpoint)
    arguments = captured.reach(places.source, job.tool("eval", options), "eval")
    model = captured.model_of(arguments)
    weights = captured.loaded(model, checkpoint.with_suffix(".pdparams"))
    if weights["loaded"] < weights["of"]:
        raise Refused(
            f"{weights['loaded']} of {weights['of']} tensors of the checkpoint fit the config "
            f"(not {', '.join(weights['not_loaded'][:3])}): export with the config of the training"
        )
    loader = next(each for each in arguments if hasattr(each, "batch_sampler"))
    decoder = next((each for each in arguments if hasattr(each, "character")), None)
    answers = _Answers(model, _compiled(exported))
    if decoder is None:
        return _compare_numbers(answers, loader)
    return _compare_texts(answers, loader, decoder, exported)


def measure(job: Job, places: Places, checkpoint: Path, labels: Sequence[str]) -> dict[str, float]:
    """The tools' own metrics of weights on a label file of the data set."""
    options = job.options(places, Path("/tmp/measure"))  # noqa: S108 - the container's own
    options["Global.pretrained_model"] = str(checkpoint)
    options["Eval.dataset.label_file_list"] = [str(places.data / name) for name in labels]
    arguments = captured.reach(places.source, job.tool("eval", options), "eval")
    metrics = captured.original("eval")(*arguments)
    return {name: float(value) for name, value in metrics.items() if name != "fps"}


def _compiled(exported: Path) -> openvino.CompiledModel:
    file = exported / "inference.pdmodel"
    if not file.is_file():
        raise Refused(
            f"{exported.name} has no inference.pdmodel: export it in the form of Paddle 2 "
            "(without Global.export_with_pir)"
        )
    # Where a CPU has bf16 the engine takes it by itself, and reads 0.02 apart.
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(file, "CPU", hint)


class _Answers:
    """What checkpoint and exported model answer to a batch."""

    def __init__(self, model: paddle.nn.Layer, exported: openvino.CompiledModel) -> None:
        model.eval()
        self._model, self._exported = model, exported
        self.apart = 0.0

    def of(self, batch: Any) -> tuple[numpy.ndarray, numpy.ndarray]:
        with paddle.no_grad():
            answer = self._model(batch[0])
        while isinstance(answer, dict | list | tuple):
            values = answer.values() if isinstance(answer, dict) else answer
            answer = next(iter(values))
        pictures = batch[0].numpy()
        taken = self._exported.input(0).get_partial_shape()
        if not taken.compatible(openvino.PartialShape(list(pictures.shape))):
            raise Refused(
                f"the exported model takes pictures of {taken}, and is trained with "
                f"{list(pictures.shape)}: train with the height this checkout exports the "
                "algorithm with (image_shape in the config)"
            )
        ours = self._exported(pictures)[0]
        theirs = answer.numpy()
        if ours.shape != theirs.shape:
            raise Refused(
                f"the exported model answers {list(ours.shape)}, and the checkpoint "
                f"{list(theirs.shape)}: it was exported with another config or dictionary"
            )
        self.apart = max(self.apart, float(numpy.abs(ours - theirs).max()))
        return theirs, ours


def _compare_numbers(answers: _Answers, loader: Any) -> dict[str, Any]:
    """A detector or a classifier: its maps or scores."""
    pictures = 0
    for batch in loader:
        answers.of(batch)
        pictures += len(batch[0])
    if answers.apart > TOLERANCE:
        raise Refused(_other_weights(answers.apart))
    return {"lines": pictures, "apart": answers.apart}


def _other_weights(apart: float) -> str:
    return (
        f"its output differs from the checkpoint's by up to {apart:.3g}, so it has other weights: "
        "a second -o or a mistyped key at export silently leaves random ones; let "
        "playbooks/export.yml export it"
    )


def _compare_texts(answers: _Answers, loader: Any, decoder: Any, exported: Path) -> dict[str, Any]:
    trained = list(decoder.character)
    packed = _packed(exported / "dict.txt", trained)
    differ: list[str] = []
    lines = right = 0
    furthest = 0.0
    for batch in loader:
        theirs, ours = answers.of(batch)
        truths = [text for text, _ in decoder(theirs, batch[1].numpy())[1]]
        for one, other, truth in zip(theirs, ours, truths, strict=True):
            (text, sure), (read, reading) = _decoded(one, trained), _decoded(other, packed)
            lines, right = lines + 1, right + (read == truth)
            furthest = max(furthest, abs(sure - reading))
            if text != read or abs(sure - reading) > TOLERANCE:
                name = _name(loader, lines - 1)
                differ.append(f"{name}: {text!r} ({sure:.4f}) became {read!r} ({reading:.4f})")
    if differ:
        why = (
            _other_weights(answers.apart)
            if answers.apart > TOLERANCE
            else "its dict.txt is not the dictionary it was trained with: pack that one"
        )
        raise Refused(
            f"{len(differ)} of {lines} lines are read differently; {why}. "
            + "; ".join(differ[:_SHOWN])
        )
    return {"lines": lines, "confidences_apart": furthest, "accuracy": right / max(lines, 1)}


def _packed(file: Path, trained: Sequence[str]) -> list[str]:
    """The characters by the packed dictionary, as the service orders them."""
    characters = ["blank", *dictionary.read(file)]
    if len(characters) + 1 == len(trained) and trained[-1] == " ":
        characters.append(" ")
    if len(characters) != len(trained):
        raise Refused(
            f"dict.txt makes {len(characters)} characters with blank and space, and the model has "
            f"{len(trained)}: pack the dictionary it was trained with"
        )
    return characters


def _decoded(scores: numpy.ndarray, characters: Sequence[str]) -> tuple[str, float]:
    """Text and confidence of a line by CTC's rule: blanks and repetitions fall away."""
    chosen, sure = scores.argmax(axis=1), scores.max(axis=1)
    kept = [
        step
        for step, index in enumerate(chosen)
        if index and (step == 0 or index != chosen[step - 1])
    ]
    text = "".join(characters[chosen[step]] for step in kept)
    return text, float(numpy.mean(sure[kept])) if kept else 0.0


def _name(loader: Any, number: int) -> str:
    lines = getattr(loader.dataset, "data_lines", [])
    return lines[number].decode().split("\t")[0] if number < len(lines) else f"line {number + 1}"
