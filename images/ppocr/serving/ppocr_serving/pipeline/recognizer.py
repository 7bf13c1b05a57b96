"""Text recognition: the characters of a line (CTC)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from rapidocr.ch_ppocr_rec.utils import CTCLabelDecode

from ppocr_contract.models import ModelError, read_dictionary
from ppocr_contract.params import RecParams, image_shape

from ..engines import EngineOptions, load_predictor
from ..report import stage
from ..threads import Threads
from .batches import aspect, by_width, resize_and_pad, scaled_width
from .ctc import best_characters, first_of_each, second_choices
from .reading import Reading

#: Pixels; a line a hundred times as wide as high. Beyond, memory and time would grow without bound.
_MAX_WIDTH = 4800
_LEAST_STEP = 160  # pixels between widths that are prepared for


def characters_of(path: Path, use_space_char: bool) -> list[str]:
    """The characters a model knows, in the order of its outputs (without the blank).

    Raises:
        ModelError: the dictionary does not exist.
    """
    if not path.is_file():
        raise ModelError(f"dictionary {path} (rec_char_dict_path) does not exist")
    return read_dictionary(path) + [" "] * use_space_char


class _Decode(CTCLabelDecode):
    """rapidocr's decoder with exactly the characters given."""

    def get_character(
        self, character: list[str] | None = None, character_path: object = None
    ) -> list[str]:
        return ["blank", *(character or [])]


@dataclasses.dataclass(frozen=True)
class Task:
    """A line and the width to read it at (pixels)."""

    line: np.ndarray
    width: int


class Recognizer:
    """Reads lines."""

    def __init__(self, params: RecParams, options: EngineOptions) -> None:
        dictionary = characters_of(Path(params.rec_char_dict_path), params.use_space_char)
        _, self._height, self._width = image_shape(params.rec_image_shape)
        self._step = options.width_step
        options = dataclasses.replace(options, logits=True, warm=self._usual_shapes())
        self._predict = load_predictor(params.rec_model_dir, options)
        self._one_by_one = options.one_by_one
        self._batch = params.rec_batch_num
        self._decode = _Decode(dictionary)
        self._classes = len(dictionary) + 1
        self._dictionary = params.rec_char_dict_path
        self.device = self._predict.device

    def _usual_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Input of batches, small ones and large ones, of lines up to 20 times as wide as high."""
        first = math.ceil(self._width / self._step) * self._step
        widths = range(first, 20 * self._height + 1, max(self._step, _LEAST_STEP))
        return tuple((rows, 3, self._height, width) for width in widths for rows in (4, 16))

    def tasks(self, lines: list[np.ndarray]) -> list[Task]:
        """The lines of a page with their widths, in the order given.

        A line is read as wide as it is, rounded up to the width step, at least as wide as the model
        was trained for; with a step of 1 as wide as PaddleOCR reads it: like the widest of the
        batch it would be in there.
        """
        narrowest = self._width / self._height
        ratios = [max(narrowest, aspect(line)) for line in lines]
        if self._step == 1:
            for indices in by_width(lines, self._batch):
                widest = max(ratios[index] for index in indices)
                for index in indices:
                    ratios[index] = widest
        widths = [
            math.ceil(int(self._height * ratio) / self._step) * self._step for ratio in ratios
        ]
        return [
            Task(line, min(width, _MAX_WIDTH)) for line, width in zip(lines, widths, strict=True)
        ]

    def read(
        self, tasks: Sequence[Task], places: bool = False, choices: bool = False
    ) -> list[Reading]:
        """Lines of one width, on an inference thread.

        Args:
            places: whether with the places of their characters.
            choices: whether with what these were read as, too.

        Raises:
            ModelError: the dictionary is not the one the model was trained with.
        """
        batch = np.stack([resize_and_pad(task.line, self._height, task.width) for task in tasks])
        with stage("recognize"):
            output = self._predict(batch)
        if output.shape[-1] != self._classes:
            raise ModelError(
                f"{self._dictionary} has {self._classes - 1} characters, the recognition model "
                f"{output.shape[-1] - 1}: rec_char_dict_path names another model's dictionary"
            )
        best, sure = best_characters(output, self._predict.logits)
        decoded, _ = self._decode.decode(best, sure, remove_duplicate=True)
        readings = [Reading(text, float(score)) for text, score in decoded]
        if places:
            readings = [
                Reading(reading.text, reading.confidence, *self._characters(steps, task))
                for reading, steps, task in zip(readings, best, tasks, strict=True)
            ]
        if choices:
            readings = [
                reading._replace(choices=self._choices(line, steps))
                for reading, line, steps in zip(readings, output, best, strict=True)
            ]
        return readings

    def _choices(self, line: np.ndarray, steps: np.ndarray) -> tuple[dict[str, float], ...]:
        """The alternatives for each character of a line, and how much less likely they are."""
        others = second_choices(line, np.flatnonzero(first_of_each(steps)), self._predict.logits)
        return tuple(
            {self._decode.character[index]: behind for index, behind in each} for each in others
        )

    def _characters(
        self, steps: np.ndarray, task: Task
    ) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """The characters of a line and their places, by the likeliest class of each step."""
        columns = np.flatnonzero(first_of_each(steps))
        share = scaled_width(task.line, self._height, task.width) / task.width
        places = np.minimum((columns + 0.5) / len(steps) / share, 1)
        return tuple(self._decode.character[steps[column]] for column in columns), tuple(places)

    def batches(self, tasks: list[Task]) -> list[list[int]]:
        """Indices of tasks to read in one call, widest first.

        One by one where the engine wants them so, else all of one width together.
        """
        order = sorted(range(len(tasks)), key=lambda index: -tasks[index].width)
        if self._one_by_one:
            return [[index] for index in order]
        same = (list(group) for _, group in groupby(order, key=lambda index: tasks[index].width))
        size = self._batch
        return [part[i : i + size] for part in same for i in range(0, len(part), size)]

    def __call__(self, lines: list[np.ndarray], threads: Threads) -> list[tuple[str, float]]:
        """(text, confidence) of each line of a page (BGR, uint8), in the order given."""
        return [(line.text, line.confidence) for line in self.pages([lines], threads)[0]]

    def pages(
        self,
        pages: list[list[np.ndarray]],
        threads: Threads,
        places: bool = False,
        choices: bool = False,
    ) -> list[list[Reading]]:
        """What the lines of several pages say, read side by side; the rest as in :meth:`read`."""
        tasks = [task for lines in pages for task in self.tasks(lines)]
        batches = self.batches(tasks)
        results = [Reading()] * len(tasks)
        answers = threads.map(
            lambda part: self.read([tasks[index] for index in part], places, choices), batches
        )
        for part, answer in zip(batches, answers, strict=True):
            for index, result in zip(part, answer, strict=True):
                results[index] = result
        flat = iter(results)
        return [[next(flat) for _ in lines] for lines in pages]
