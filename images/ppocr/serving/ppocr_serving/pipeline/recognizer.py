"""Text recognition: the characters of a line (CTC)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rapidocr.ch_ppocr_rec.utils import CTCLabelDecode

from ..engines import EngineOptions, load_predictor
from ..models import ModelError
from ..params import RecParams, image_shape
from .batches import aspect, by_width, resize_and_pad


def read_dictionary(path: Path, use_space_char: bool) -> list[str]:
    """The characters a model knows, in the order of its outputs (without the blank).

    Raises:
        ModelError: the dictionary does not exist.
    """
    if not path.is_file():
        raise ModelError(f"dictionary {path} (rec_char_dict_path) does not exist")
    characters = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return [character.rstrip("\r") for character in characters] + [" "] * use_space_char


class _Decode(CTCLabelDecode):
    """rapidocr's decoder with exactly the characters given."""

    def get_character(
        self, character: list[str] | None = None, character_path: object = None
    ) -> list[str]:
        return ["blank", *(character or [])]


class Recognizer:
    """Reads lines."""

    def __init__(self, params: RecParams, options: EngineOptions) -> None:
        dictionary = read_dictionary(Path(params.rec_char_dict_path), params.use_space_char)
        self._predict = load_predictor(params.rec_model_dir, options)
        _, self._height, self._width = image_shape(params.rec_image_shape)
        self._batch = params.rec_batch_num
        self._decode = _Decode(dictionary)
        self._classes = len(dictionary) + 1
        self._dictionary = params.rec_char_dict_path
        self.device = self._predict.device

    def __call__(self, lines: list[np.ndarray]) -> list[tuple[str, float]]:
        """(text, confidence) of each line (BGR, uint8), in the order given.

        Raises:
            ModelError: the dictionary is not the one the model was trained with.
        """
        results: list[tuple[str, float]] = [("", 0.0)] * len(lines)
        for indices in by_width(lines, self._batch):
            # As wide as the widest line of the batch, at least as the model was trained for.
            widest = max(self._width / self._height, *(aspect(lines[index]) for index in indices))
            width = int(self._height * widest)
            batch = np.stack(
                [resize_and_pad(lines[index], self._height, width) for index in indices]
            )
            output = self._predict(batch)
            if output.shape[-1] != self._classes:
                raise ModelError(
                    f"{self._dictionary} has {self._classes - 1} characters, the recognition model "
                    f"{output.shape[-1] - 1}: rec_char_dict_path names another model's dictionary"
                )
            decoded, _ = self._decode(output)
            for index, (text, score) in zip(indices, decoded, strict=True):
                results[index] = (text, float(score))
        return results
