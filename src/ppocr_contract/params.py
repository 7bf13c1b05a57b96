"""The parameters of the pipeline, under the names PaddleOCR's hubserving ``params.py`` uses.

Defaults are PaddleOCR 2.10's own (tools/infer/utility.py, deploy/hubserving), or those recommended
for a model, from a JSON object beside it. A module reads them with :func:`read`; the
operator's changes come from a JSON object in the file ``/etc/ppocr/params.json`` (``PPOCR_PARAMS``
names another), rendered from ``hubserving_params``.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from pathlib import Path
from typing import Any, TypeVar

from .config import TEXT_MODULE
from .models import DICTIONARY_FILE, MODELS_ROOT, VALUES_FILE, recognizer_place

PARAMS_FILE = Path("/etc/ppocr/params.json")
T = TypeVar("T")


class ParamsError(ValueError):
    """A parameter is unknown or has a value it cannot have; the message names it."""


@dataclasses.dataclass(frozen=True)
class _EngineParams:
    """Parameters of every stage's engine."""

    gpu_mem: int = 500  # MB of the card's memory to begin with; Paddle takes more as it needs it

    def _stage(self, kind: type[T]) -> T:
        mine = {field.name: getattr(self, field.name) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
        return kind(**mine)


@dataclasses.dataclass(frozen=True)
class DetParams(_EngineParams):
    """Text detection (DB)."""

    det_algorithm: str = "DB"
    det_model_dir: str = f"{MODELS_ROOT}/det"
    det_limit_side_len: int = 960  # pixels; what det_limit_type limits
    det_limit_type: str = "max"  # max: the longer side is at most this; min: the shorter at least
    det_limit_pixels: int = 0  # the network's input has at most so many; 0: whatever the others say
    det_coarse_first: bool = False  # pages of nothing but large letters are found at half the scale
    det_db_thresh: float = 0.3  # a pixel counts as text from this probability on
    det_db_box_thresh: float = 0.6  # a box is kept from this mean probability on
    det_db_unclip_ratio: float = 1.5  # how far a box is widened
    det_db_score_mode: str = "fast"  # fast: mean over the box; slow: over the contour
    use_dilation: bool = False


@dataclasses.dataclass(frozen=True)
class ClsParams(_EngineParams):
    """Text direction (upright or turned by 180 degrees)."""

    cls_model_dir: str = f"{MODELS_ROOT}/cls"
    cls_image_shape: str = "3, 48, 192"  # channels, height, width
    label_list: tuple[str, ...] = ("0", "180")
    cls_batch_num: int = 30
    cls_thresh: float = 0.9  # a line is turned from this confidence on


@dataclasses.dataclass(frozen=True)
class RecParams(_EngineParams):
    """Text recognition (CTC)."""

    rec_algorithm: str = "SVTR_LCNet"
    rec_model_dir: str = f"{MODELS_ROOT}/rec"
    rec_image_shape: str = "3, 48, 320"  # channels, height, least width; PP-OCRv2 wants 3, 32, 320
    rec_batch_num: int = 6
    rec_char_dict_path: str = f"{MODELS_ROOT}/rec/{DICTIONARY_FILE}"
    use_space_char: bool = True

    @property
    def rec(self) -> RecParams:
        return self._stage(RecParams)


@dataclasses.dataclass(frozen=True)
class CorrectionParams:
    """Findings of likely wrong characters."""

    text_correction_gain: float = 4.5  # powers of ten by which a correction has to be likelier


@dataclasses.dataclass(frozen=True)
class SystemParams(DetParams, ClsParams, RecParams, CorrectionParams):
    """Detection, direction and recognition in a row."""

    use_angle_cls: bool = True
    drop_score: float = 0.5  # lines below this confidence are left out
    use_doc_orientation_classify: bool = (
        False  # read pages that lie on their side, or on their head
    )
    return_word_box: bool = False  # words of each line, with their places
    text_correction: bool = False  # likely wrong characters of each line, with what was meant

    @property
    def det(self) -> DetParams:
        return self._stage(DetParams)

    @property
    def cls(self) -> ClsParams:
        return self._stage(ClsParams)


BY_MODULE: dict[str, type] = {
    "ocr_det": DetParams,
    "ocr_cls": ClsParams,
    "ocr_rec": RecParams,
    "ocr_system": SystemParams,
    TEXT_MODULE: CorrectionParams,
}
_CHOICES = {
    "det_algorithm": ("DB",),
    "det_limit_type": ("max", "min"),
    "det_db_score_mode": ("fast", "slow"),
    "rec_algorithm": ("SVTR_LCNet", "SVTR", "CRNN"),
}
#: Least and most of numbers, each of an _image_shape among them, and of how many labels there are.
#: What one request may ask for is narrower: ppocr_serving.request_options.
_BOUNDS: dict[str, tuple[float, float]] = {
    "gpu_mem": (0, 10_000_000),
    "det_limit_side_len": (32, 65_000),
    "det_limit_pixels": (0, 1_000_000_000),
    "det_db_thresh": (0, 1),
    "det_db_box_thresh": (0, 1),
    "det_db_unclip_ratio": (0, 10),
    "cls_image_shape": (1, 4800),
    "label_list": (2, 1000),
    "cls_batch_num": (1, 1000),
    "cls_thresh": (0, 1),
    "rec_image_shape": (1, 4800),
    "rec_batch_num": (1, 1000),
    "text_correction_gain": (0, 20),
    "drop_score": (0, 1),
}
#: Of a picture; the models take no other.
_CHANNELS = 3
_FIELDS = {field.name: field for field in dataclasses.fields(SystemParams)}


def image_shape(text: str) -> tuple[int, int, int]:
    """``"3, 48, 320"`` as (channels, height, width)."""
    channels, height, width = (int(part) for part in text.split(","))
    return channels, height, width


def _checked(name: str, value: Any) -> Any:
    if name not in _FIELDS:
        near = difflib.get_close_matches(name, _FIELDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ParamsError(f"unknown parameter {name}: {hint}known are {', '.join(sorted(_FIELDS))}")
    default = _FIELDS[name].default
    kind: Any = type(default)
    if kind is tuple and isinstance(value, list):
        value = tuple(str(item) for item in value)
    # By isinstance: Ansible hands over subclasses of Python's types. bool is one of int's.
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ParamsError(f"{name}: {value!r} is not {kind.__name__} (default {default!r})")
    value = kind(value)
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ParamsError(f"{name}: {value!r} is not one of {', '.join(_CHOICES[name])}")
    if kind in (int, float):
        _require_bounds(name, value, value)
    elif kind is tuple:
        _require_bounds(name, len(value), value, ": the number of labels")
    elif name.endswith("_image_shape"):
        _check_shape(name, value)
    return value


def _require_bounds(name: str, number: float, value: Any, what: str = "") -> None:
    least, most = _BOUNDS[name]
    if not least <= number <= most:  # also where it is no number
        raise ParamsError(f"{name}: {value!r}{what} is not from {least} to {most}")


def _check_shape(name: str, value: str) -> None:
    try:
        channels, height, width = image_shape(value)
    except ValueError as error:
        raise ParamsError(f"{name}: {value!r} is not three numbers such as '3, 48, 320'") from error
    if channels != _CHANNELS:
        raise ParamsError(f"{name}: {value!r} does not begin with {_CHANNELS}, for three colours")
    for side in (height, width):
        _require_bounds(name, side, value, ": a side")


def check(values: dict[str, Any]) -> dict[str, Any]:
    """Check names, types and ranges.

    Raises:
        ParamsError: at the first value that will not do.
    """
    return {name: _checked(name, value) for name, value in values.items()}


def operator_params(path: Path | None = None) -> dict[str, Any]:
    """The operator's changes, checked; empty where there is no file.

    Raises:
        ParamsError: the file is no JSON object, or one of its values will not do.
    """
    return _of_file(path or Path(os.environ.get("PPOCR_PARAMS", PARAMS_FILE)))


def _of_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ParamsError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ParamsError(f"{path} is not a JSON object")
    return check(values)


def _of_models(folders: list[str]) -> dict[str, Any]:
    """The values recommended for these models, from the file beside each."""
    return {
        name: value
        for folder in folders
        for name, value in _of_file(Path(folder) / VALUES_FILE).items()
    }


def of_recognizer(name: str) -> dict[str, Any]:
    """The parameters that make another of the image's models the recogniser.

    What describes a model is its own or PaddleOCR's: the operator's are of the default one.

    Raises:
        ParamsError: see :func:`check`.
    """
    folder = MODELS_ROOT / recognizer_place(name)
    described = {field: _FIELDS[field].default for field in ("rec_image_shape", "use_space_char")}
    where = {"rec_model_dir": str(folder), "rec_char_dict_path": str(folder / DICTIONARY_FILE)}
    return described | _of_models([str(folder)]) | where


def read(module: str, **changes: Any) -> Any:
    """Parameters of one module: defaults, its models' own, ``changes``, then the operator's file.

    Raises:
        ParamsError: see :func:`check`.
    """
    kind = BY_MODULE[module]
    mine = {field.name for field in dataclasses.fields(kind)}
    given = check(changes) | operator_params()
    folders = [given.get(n, _FIELDS[n].default) for n in sorted(mine) if n.endswith("_model_dir")]
    values = _of_models(folders) | given
    return kind(**{name: value for name, value in values.items() if name in mine})
