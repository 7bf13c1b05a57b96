"""Detection, direction and recognition in a row (predict_system.py of PaddleOCR)."""

from __future__ import annotations

import dataclasses

import numpy as np

from .classifier import Classifier
from .detector import Detector, reading_order
from .image import crop_line
from .recognizer import Recognizer


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of text: its box is (4, 2) in pixels, clockwise from top left."""

    text: str
    confidence: float
    box: np.ndarray


class System:
    """Reads a page."""

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier | None,
        recognizer: Recognizer,
        drop_score: float,
    ) -> None:
        self._detect = detector
        self._classify = classifier
        self._recognize = recognizer
        self._drop_score = drop_score
        self.device = recognizer.device

    def __call__(self, image: np.ndarray) -> list[Line]:
        """The lines of ``image`` (BGR, uint8) in reading order, unsure ones left out."""
        boxes = reading_order(self._detect(image))
        lines = [crop_line(image, box) for box in boxes]
        if self._classify is not None and lines:
            lines = self._classify.turn_upright(lines)
        return [
            Line(text, confidence, box)
            for (text, confidence), box in zip(self._recognize(lines), boxes, strict=True)
            if confidence >= self._drop_score
        ]
