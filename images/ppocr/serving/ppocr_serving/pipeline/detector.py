"""Text detection: DB (Liao et al., Real-time Scene Text Detection with
Differentiable Binarization, 2019).

Operators are rapidocr's; what differs from PaddleOCR's predict_det.py is put right here.
"""

from __future__ import annotations

import copy
import dataclasses
import math

import cv2
import numpy as np
from rapidocr.ch_ppocr_det.utils import DBPostProcess, DetPreProcess

from ppocr_contract.params import DetParams, read

from ..engines import EngineOptions, load_predictor
from ..report import stage
from . import coarse, strips
from .scales import whole_lines
from .tiles import SHARED, TILE, tiles

#: See EngineOptions: the first two layers. In bf16 altogether corners move three times as much.
EXACT_SHARE = 0.04
_MEAN = [0.485, 0.456, 0.406]
_STD = [0.229, 0.224, 0.225]
_STRIDE = 32  # the network's: both sides must be multiples
_CANDIDATES = 1000  # lines of a page looked at, as in stock
_USUAL = (3 / 4, 0.5**0.5, 9 / 16)  # shorter over longer side: photos, sheets of paper, screens
_PAGES = 4  # of one batch: each takes as much memory as fifty lines
_MAX_SIDE = 4096  # pixels: det_limit_type min enlarges a narrow strip no further

_LARGE_LINE = 16  # pixels: lines of large letters are as high at least
#: Where det_limit_pixels is set: more pixels than this are searched in tiles, of this size at most.
_AT_ONCE = 960**2
_LEAST_TILE = 2 * SHARED


def _multiple(length: float) -> int:
    """The multiple of the network's stride that is nearest to a length."""
    return max(round(int(length) / _STRIDE) * _STRIDE, _STRIDE)


def scaled(image: np.ndarray, ratio: float) -> np.ndarray:
    """``image`` times ``ratio``, with sides that are multiples of the network's stride."""
    size = tuple(_multiple(length * ratio) for length in (image.shape[1], image.shape[0]))
    return cv2.resize(image, size)


class _Resize(DetPreProcess):
    """DetResizeForTest of PaddleOCR: never smaller than one stride, tiny images padded."""

    def __init__(self, params: DetParams) -> None:
        super().__init__(params.det_limit_side_len, params.det_limit_type, _MEAN, _STD)
        self._most = params.det_limit_pixels or math.inf
        # A byte's value after normalising, by channel: one look-up instead of float64 arithmetic.
        values = np.arange(256, dtype=np.float32)[:, None] * np.float32(1 / 255)
        table = (values - np.array(_MEAN, np.float32)) / np.array(_STD, np.float32)
        self._tables = [np.ascontiguousarray(column) for column in table.T]

    def normalize(self, resized: np.ndarray) -> np.ndarray:
        """The network's input: float32 (1, 3, h, w)."""
        planes = np.empty((1, 3, *resized.shape[:2]), np.float32)
        for index, plane in enumerate(cv2.split(resized)):
            cv2.LUT(plane, self._tables[index], dst=planes[0, index])
        return planes

    def resize(self, img: np.ndarray) -> np.ndarray:
        """Scaled so that both sides are multiples of the network's stride."""
        height, width = img.shape[:2]
        if height + width < 2 * _STRIDE:
            padded = np.zeros((max(_STRIDE, height), max(_STRIDE, width), 3), np.uint8)
            padded[:height, :width] = img
            img = padded
            height, width = img.shape[:2]
        side = max(height, width) if self.limit_type == "max" else min(height, width)
        beyond = (
            side > self.limit_side_len if self.limit_type == "max" else (side < self.limit_side_len)
        )
        ratio = self.limit_side_len / side if beyond else 1.0
        ratio = min(ratio, max(1.0, _MAX_SIDE / max(height, width)))
        if self.is_strip(height, width):
            ratio = max(ratio, strips.ratio(height, width, self.limit_side_len))
        ratio = min(ratio, math.sqrt(self._most / (height * width)))
        return scaled(img, ratio)

    def is_page(self, height: int, width: int) -> bool:
        """Whether the network takes a scaled picture at once; else in tiles."""
        if self._most < math.inf and height * width > _AT_ONCE:
            return False
        if self.limit_type != "max":
            return max(height, width) <= _MAX_SIDE
        return max(height, width) <= self.limit_side_len + _STRIDE

    def tile(self, short: int) -> int:
        """How long a tile of a strip is whose shorter side is ``short``."""
        if self._most == math.inf:
            return TILE
        return min(TILE, max(_LEAST_TILE, _AT_ONCE // short // _STRIDE * _STRIDE))

    def is_strip(self, height: int, width: int) -> bool:
        """Whether a picture is so long that its longer side does not decide its scale."""
        return self.limit_type == "max" and strips.is_strip(height, width, self.limit_side_len)

    def further_ratios(self, strip: np.ndarray, fine: int) -> list[float]:
        """How far a strip is scaled for large letters, ``fine`` being its shorter side before."""
        most = min(self._most, strips.most_pixels(self.limit_side_len))
        return strips.further_ratios(strip.shape[0], strip.shape[1], fine, most)


class _Boxes(DBPostProcess):
    """DBPostProcess with PaddleOCR's order of corners."""

    def order_points_clockwise(self, pts: np.ndarray) -> np.ndarray:
        # Top left has the least x + y, bottom right the most; of the other two, top right has the
        # least y - x.
        total = pts.sum(axis=1)
        first, third = int(total.argmin()), int(total.argmax())
        rest = np.delete(pts, (first, third), axis=0)
        slope = np.diff(rest, axis=1).ravel()
        corners = (pts[first], rest[slope.argmin()], pts[third], rest[slope.argmax()])
        return np.array(corners, dtype=np.float32)


def _usual_shapes() -> tuple[tuple[int, ...], ...]:
    """Input of single pages of requests without options: photos, scans, screenshots.

    None where the limit is on the shorter side: pages are then as large as they come.
    """
    usual = read("ocr_det")
    if usual.det_limit_type != "max":
        return ()
    side = usual.det_limit_side_len
    pages = ((_multiple(side), _multiple(side * share)) for share in _USUAL)
    return tuple((1, 3, *size) for page in pages for size in (page, page[::-1]))


class Detector:
    """Finds the lines of a page."""

    def __init__(self, params: DetParams, options: EngineOptions) -> None:
        options = dataclasses.replace(
            options, exact_share=EXACT_SHARE, rows=_PAGES, warm=_usual_shapes()
        )
        self._predict = load_predictor(params.det_model_dir, options)
        self.device = self._predict.device
        self._set(params)

    def with_params(self, params: DetParams) -> Detector:
        """The same model with other limits and thresholds."""
        if params == self._params:
            return self
        changed = copy.copy(self)
        changed._set(params)
        return changed

    def _set(self, params: DetParams) -> None:
        self._params = params
        self._prepare = _Resize(params)
        self._boxes, self._boxes_of_strip = (
            _Boxes(
                thresh=params.det_db_thresh,
                box_thresh=params.det_db_box_thresh,
                max_candidates=most,
                unclip_ratio=params.det_db_unclip_ratio,
                score_mode=params.det_db_score_mode,
                use_dilation=params.use_dilation,
            )
            for most in (_CANDIDATES, _CANDIDATES * strips.AREA)
        )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Boxes of the lines in ``image`` (BGR, uint8), float32 (N, 4, 2), in contour order."""
        with stage("prepare"):
            resized = self._prepare.resize(image)
        whole = self._prepare.is_page(*resized.shape[:2])
        if whole and self._is_searched_coarsely(resized):
            boxes = self._at_half_the_scale(image, resized)
            if boxes is not None:
                return boxes
        heat = self._heat(resized) if whole else self._heat_of_tiles(resized)
        boxes = self._found(self._boxes if whole else self._boxes_of_strip, heat, image)
        if self._prepare.is_strip(*image.shape[:2]):
            fine = min(resized.shape[:2])
            for ratio in self._prepare.further_ratios(image, fine):
                boxes = self._with_large_letters(boxes, image, ratio)
        return boxes

    def _is_searched_coarsely(self, resized: np.ndarray) -> bool:
        """Whether half the scale is tried; not on cards, which are prepared for few shapes."""
        wanted = self._params.det_coarse_first and not self._params.det_limit_pixels
        return wanted and self.device == "cpu" and coarse.is_worthwhile(*resized.shape[:2])

    def _at_half_the_scale(self, image: np.ndarray, resized: np.ndarray) -> np.ndarray | None:
        """The boxes found there, or None where they may not be all."""
        with stage("prepare"):
            half = scaled(resized, 0.5)
        boxes = self._found(self._boxes, self._heat(half), image)
        with stage("boxes"):
            ratio = np.array(resized.shape[1::-1]) / image.shape[1::-1]
            return boxes if coarse.shows_all(resized, boxes * ratio) else None

    def _with_large_letters(self, boxes: np.ndarray, image: np.ndarray, ratio: float) -> np.ndarray:
        """``boxes`` of a strip, and those of the large letters that it shows at ``ratio``."""
        with stage("prepare"):
            resized = scaled(image, ratio)
        coarse = self._found(self._boxes, self._heat_of_tiles(resized), image)
        return whole_lines(boxes, coarse, _LARGE_LINE / ratio)

    @staticmethod
    def _found(boxes_of: _Boxes, heat: np.ndarray, image: np.ndarray) -> np.ndarray:
        with stage("boxes"):
            boxes, _ = boxes_of(heat, image.shape[:2])
        return np.array(boxes, np.float32).reshape(-1, 4, 2)

    def _heat(self, resized: np.ndarray) -> np.ndarray:
        """How much each pixel looks like text: float32 (1, 1, h, w)."""
        with stage("prepare"):
            prepared = self._prepare.normalize(resized)
        with stage("detect"):
            return self._predict(prepared)

    def _heat_of_tiles(self, resized: np.ndarray) -> np.ndarray:
        """The same of a strip, tile by tile.

        Lines are found in the heat of the whole strip, so that none is cut at a seam or found
        twice.
        """
        heat = np.zeros((1, 1, *resized.shape[:2]), np.float32)
        tall = resized.shape[0] > resized.shape[1]
        along = np.moveaxis(heat, 2 if tall else 3, 0)
        strip = resized if tall else resized.swapaxes(0, 1)
        for seen, taken in tiles(len(strip), self._prepare.tile(strip.shape[1])):
            tile = strip[seen]
            if (tile == tile[0, 0]).all():  # an even ground has no text
                continue
            found = self._heat(np.ascontiguousarray(tile if tall else tile.swapaxes(0, 1)))
            along[taken] = np.moveaxis(found, 2 if tall else 3, 0)[taken.start - seen.start :]
        return heat
