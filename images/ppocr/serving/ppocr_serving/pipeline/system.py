"""Detection, direction and recognition in a row (predict_system.py of PaddleOCR)."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from ppocr_contract.params import SystemParams

from ..report import stage
from ..threads import Threads
from . import single_line
from .classifier import Classifier
from .detector import Detector
from .image import crop_line, crop_lines
from .order import reading_order
from .reading import Reading
from .recognizer import Recognizer
from .upright import quarter_turns, turn_back
from .words import Word, as_read, words_of


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of text: its box is (4, 2) in pixels, clockwise from top left; ``choices`` are those
    of its :class:`Reading`."""

    text: str
    confidence: float
    box: np.ndarray
    words: tuple[Word, ...] = ()
    choices: tuple[dict[str, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class _Page:
    """What was found in a picture.

    Attributes:
        boxes: of the lines in reading order, (N, 4, 2) in pixels of the page.
        lines: their pictures, upright; one more of the whole picture where it may be one line.
        turned: of each of these pictures, whether it stood on its head.
        turns: quarter turns that put the picture upright.
        picture: before them.
    """

    boxes: np.ndarray
    lines: list[np.ndarray]
    turned: list[bool]
    picture: np.ndarray
    turns: int = 0


class System:
    """Reads pages."""

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier | None,
        recognizer: Recognizer,
        params: SystemParams,
        threads: Threads,
    ) -> None:
        self._detect = detector
        self._classify = classifier
        self._recognize = recognizer
        self._params = params
        self._threads = threads
        self.device = recognizer.device

    def __call__(self, images: list[np.ndarray]) -> list[list[Line]]:
        """Per image (BGR, uint8) its lines in reading order, unsure ones left out.

        Images are searched, then all their lines read, side by side on the inference threads.
        """
        pages = self._threads.map(self._find, images)
        texts = self._recognize.pages(
            [page.lines for page in pages],
            self._threads,
            self._params.return_word_box,
            self._params.text_correction,
        )
        return [self._lines(page, readings) for page, readings in zip(pages, texts, strict=True)]

    def _find(self, image: np.ndarray) -> _Page:
        page = self._search(image)
        if not self._params.use_doc_orientation_classify:
            return page
        turns = quarter_turns(page.boxes, page.turned[: len(page.boxes)])
        if not turns:
            return page
        del page  # and its lines, before they are cut out again
        upright = self._search(np.ascontiguousarray(np.rot90(image, turns)))
        return dataclasses.replace(upright, picture=image, turns=turns)

    def _search(self, image: np.ndarray) -> _Page:
        boxes = reading_order(self._detect(image))
        with stage("crop"):
            lines = crop_lines(image, boxes)
            if single_line.may_be_one(image):
                lines.append(crop_line(image, single_line.whole(image)))
        turned = [False] * len(lines)
        if self._classify is not None and lines:
            turned = self._classify.turned(lines)
            lines = [
                cv2.rotate(line, cv2.ROTATE_180) if down else line
                for line, down in zip(lines, turned, strict=True)
            ]
        return _Page(boxes, lines, turned, image)

    def _lines(self, page: _Page, readings: list[Reading]) -> list[Line]:
        """The lines of a page that were read surely enough."""
        found = zip(readings, page.boxes, page.turned, strict=False)  # without the whole picture
        sure = [one for one in found if one[0].confidence >= self._params.drop_score]
        if len(readings) > len(page.boxes):
            boxes = np.array([box for _, box, _ in sure], np.float32).reshape(-1, 4, 2)
            upright = np.rot90(page.picture, page.turns)
            if single_line.is_one(readings[-1], [line for line, _, _ in sure], boxes, upright):
                sure = [(readings[-1], single_line.whole(upright), page.turned[-1])]
        return [self._line(page, *one) for one in sure]

    def _line(self, page: _Page, reading: Reading, box: np.ndarray, turned: bool) -> Line:
        def back(points: np.ndarray) -> np.ndarray:
            return turn_back(points, page.turns, page.picture.shape[0], page.picture.shape[1])

        words: tuple[Word, ...] = ()
        if self._params.return_word_box:
            found = words_of(as_read(box, turned), reading.characters, reading.places)
            words = tuple(Word(word.text, back(word.box)) for word in found)
        return Line(reading.text, reading.confidence, back(box), words, reading.choices)
