"""Text detection: DB (Liao et al., Real-time Scene Text Detection with
Differentiable Binarization, 2019).

Operators are rapidocr's; what differs from PaddleOCR's predict_det.py is put right here.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
from rapidocr.ch_ppocr_det.utils import DBPostProcess, DetPreProcess

from ppocr_contract.params import DetParams

from ..engines import EngineOptions, load_predictor
from ..report import stage

#: See EngineOptions: the first two layers. In bf16 altogether corners move three times as much.
EXACT_SHARE = 0.04
_MEAN = [0.485, 0.456, 0.406]
_STD = [0.229, 0.224, 0.225]
_STRIDE = 32  # the network's: both sides must be multiples
_CANDIDATES = 1000  # lines of a page looked at, as in stock
_MAX_SIDE = 4096  # pixels: det_limit_type min enlarges a narrow strip no further

#: Beyond this, height to width or the other way, the longer side says nothing about the size of
#: text: 960 pixels for it would leave the shorter one 240. Such a strip is scaled so that its
#: shorter side has the share of det_limit_side_len that a page's has (1 to the root of 2), and
#: altogether as many pixels as so many squares of it.
_STRIP_ASPECT = 4
_STRIP_SHARE = 0.7
_STRIP_AREA = 8
#: Of the network's input, pixels: the length of a tile, and what two neighbours see of each other.
_TILE = 960
_SHARED = 256


class _Resize(DetPreProcess):
    """DetResizeForTest of PaddleOCR: never smaller than one stride, tiny images padded."""

    def __init__(self, limit_side_len: int, limit_type: str) -> None:
        super().__init__(limit_side_len, limit_type, _MEAN, _STD)
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
        ratio = max(ratio, self._ratio_of_strip(height, width))
        sides = (int(length * ratio) for length in (width, height))
        size = tuple(max(round(length / _STRIDE) * _STRIDE, _STRIDE) for length in sides)
        return cv2.resize(img, size)

    def is_page(self, height: int, width: int) -> bool:
        """Whether the network takes a scaled picture at once; else in tiles."""
        if self.limit_type != "max":
            return max(height, width) <= _MAX_SIDE
        return max(height, width) <= self.limit_side_len + _STRIDE

    def _ratio_of_strip(self, height: int, width: int) -> float:
        """How far a long strip is scaled; 0 for a page, where the longer side decides."""
        short, long = sorted((height, width))
        if self.limit_type != "max" or long <= max(self.limit_side_len, _STRIP_ASPECT * short):
            return 0.0
        area = _STRIP_AREA * self.limit_side_len**2 / (short * long)
        return min(1.0, _STRIP_SHARE * self.limit_side_len / short, math.sqrt(area))


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


class Detector:
    """Finds the lines of a page."""

    def __init__(self, params: DetParams, options: EngineOptions) -> None:
        options = dataclasses.replace(options, exact_share=EXACT_SHARE)
        self._predict = load_predictor(params.det_model_dir, options)
        self._prepare = _Resize(params.det_limit_side_len, params.det_limit_type)
        self._boxes, self._boxes_of_strip = (
            _Boxes(
                thresh=params.det_db_thresh,
                box_thresh=params.det_db_box_thresh,
                max_candidates=most,
                unclip_ratio=params.det_db_unclip_ratio,
                score_mode=params.det_db_score_mode,
                use_dilation=params.use_dilation,
            )
            for most in (_CANDIDATES, _CANDIDATES * _STRIP_AREA)
        )
        self.device = self._predict.device

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Boxes of the lines in ``image`` (BGR, uint8), float32 (N, 4, 2), in contour order."""
        with stage("prepare"):
            resized = self._prepare.resize(image)
        whole = self._prepare.is_page(*resized.shape[:2])
        heat = self._heat(resized) if whole else self._heat_of_tiles(resized)
        with stage("boxes"):
            boxes, _ = (self._boxes if whole else self._boxes_of_strip)(heat, image.shape[:2])
        return np.array(boxes, np.float32).reshape(-1, 4, 2)

    def _heat(self, resized: np.ndarray) -> np.ndarray:
        """How much each pixel looks like text: float32 (1, 1, h, w)."""
        with stage("prepare"):
            prepared = self._prepare.normalize(resized)
        with stage("detect"):
            return self._predict(prepared)

    def _heat_of_tiles(self, resized: np.ndarray) -> np.ndarray:
        """The same of a strip, tile by tile.

        Tiles overlap, and half of what two of them share is taken from each: lines are found in
        the heat of the whole strip, so that none is cut at a seam or found twice.
        """
        heat = np.zeros((1, 1, *resized.shape[:2]), np.float32)
        tall = resized.shape[0] > resized.shape[1]
        along = np.moveaxis(heat, 2 if tall else 3, 0)
        strip = resized if tall else resized.swapaxes(0, 1)
        last = max(0, len(strip) - _TILE)
        for start in [*range(0, last, _TILE - _SHARED), last]:
            tile = strip[start : start + _TILE]
            if (tile == tile[0, 0]).all():  # an even ground has no text
                continue
            found = self._heat(np.ascontiguousarray(tile if tall else tile.swapaxes(0, 1)))
            head = _SHARED // 2 if start else 0
            along[start + head : start + _TILE] = np.moveaxis(found, 2 if tall else 3, 0)[head:]
        return heat
