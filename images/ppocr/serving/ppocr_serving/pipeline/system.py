"""Detection, direction and recognition in a row (predict_system.py of PaddleOCR)."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..report import stage
from ..threads import Threads
from .classifier import Classifier
from .detector import Detector
from .image import crop_line
from .order import reading_order
from .recognizer import Recognizer


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of text: its box is (4, 2) in pixels, clockwise from top left."""

    text: str
    confidence: float
    box: np.ndarray


class System:
    """Reads pages."""

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier | None,
        recognizer: Recognizer,
        drop_score: float,
        threads: Threads,
    ) -> None:
        self._detect = detector
        self._classify = classifier
        self._recognize = recognizer
        self._drop_score = drop_score
        self._threads = threads
        self.device = recognizer.device

    def __call__(self, images: list[np.ndarray]) -> list[list[Line]]:
        """Per image (BGR, uint8) its lines in reading order, unsure ones left out.

        Images are searched, then all their lines read, side by side on the inference threads.
        """
        found = self._threads.map(self._find, images)
        texts = self._recognize.pages([lines for _, lines in found], self._threads)
        return [
            [
                Line(text, confidence, box)
                for (text, confidence), box in zip(page, boxes, strict=True)
                if confidence >= self._drop_score
            ]
            for page, (boxes, _) in zip(texts, found, strict=True)
        ]

    def _find(self, image: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Boxes of a page in reading order, and the pictures of their lines, upright."""
        boxes = reading_order(self._detect(image))
        with stage("crop"):
            lines = [crop_line(image, box) for box in boxes]
        if self._classify is not None and lines:
            lines = self._classify.turn_upright(lines)
        return boxes, lines
