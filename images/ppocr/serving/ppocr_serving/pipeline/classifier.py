"""Text direction: is a line upright, or turned by 180 degrees?"""

from __future__ import annotations

import dataclasses

import numpy as np
from rapidocr.ch_ppocr_cls.utils import ClsPostProcess

from ppocr_contract.params import ClsParams, image_shape

from ..engines import EngineOptions, load_predictor
from ..report import stage
from .batches import by_width, resize_and_pad


class Classifier:
    """Tells the direction of lines."""

    def __init__(self, params: ClsParams, options: EngineOptions) -> None:
        _, self._height, self._width = image_shape(params.cls_image_shape)
        warm = tuple((rows, 3, self._height, self._width) for rows in (4, 16))
        self._predict = load_predictor(
            params.cls_model_dir, dataclasses.replace(options, warm=warm)
        )
        self._batch = params.cls_batch_num
        self._threshold = params.cls_thresh
        self._labels = ClsPostProcess(list(params.label_list))
        self.device = self._predict.device

    def __call__(self, lines: list[np.ndarray]) -> list[tuple[str, float]]:
        """(label, confidence) of each line (BGR, uint8), in the order given."""
        results: list[tuple[str, float]] = [("", 0.0)] * len(lines)
        for indices in by_width(lines, self._batch):
            batch = np.stack(
                [resize_and_pad(lines[index], self._height, self._width) for index in indices]
            )
            with stage("classify"):
                output = self._predict(batch)
            for index, (label, score) in zip(indices, self._labels(output), strict=True):
                results[index] = (label, float(score))
        return results

    def turned(self, lines: list[np.ndarray]) -> list[bool]:
        """Whether each line stands on its head, with enough confidence."""
        return ["180" in label and score > self._threshold for label, score in self(lines)]
