"""What a request may ask for: the object ``options``, by the parameters' own names.

A client is a stranger: bounds are what a worker's memory and time allow, not what the parameters
could have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ppocr_contract.models import DEFAULT_RECOGNIZER

from .report import RequestError

#: The parameters that make a recogniser of the image the one, by its name.
Recognizers = Mapping[str, Mapping[str, Any]]

DETECTION = (
    "det_limit_side_len",
    "det_limit_type",
    "det_db_thresh",
    "det_db_box_thresh",
    "det_db_unclip_ratio",
)
RECOGNITION = ("recognizer",)
CORRECTION = ("text_correction_gain",)
SYSTEM = (
    *DETECTION,
    *RECOGNITION,
    *CORRECTION,
    "use_angle_cls",
    "use_doc_orientation_classify",
    "drop_score",
    "return_word_box",
    "text_correction",
)
#: Parameters that are not the same in every request.
SET = (*SYSTEM, "det_limit_pixels")
#: Least and most. 1920 is four times the pixels of stock's 960; a ratio of 2.5 twice the area that
#: lines of the default 1.5 have when they are cut out.
_NUMBERS: dict[str, tuple[float, float]] = {
    "det_limit_side_len": (32, 1920),
    "det_db_thresh": (0, 1),
    "det_db_box_thresh": (0, 1),
    "det_db_unclip_ratio": (0.5, 2.5),
    "drop_score": (0, 1),
    "text_correction_gain": (0, 20),
}
#: Whatever limits a request names, a picture is scaled to so many pixels at most: eight of stock's
#: largest pages, the most that a strip has without options.
_PIXELS = 8 * 960 * 960
_WHOLE = ("det_limit_side_len",)
_CHOICES = {"det_limit_type": ("max", "min")}


def read(
    options: object, allowed: Iterable[str], recognizers: Recognizers | None = None
) -> dict[str, Any]:
    """The options of a request, checked: the parameters that are other than the module's.

    Args:
        options: what the request says.
        allowed: names of options the module has.
        recognizers: those there are beside the default one.

    Raises:
        RequestError: no object, a name that is not allowed, or a value out of bounds.
    """
    if not isinstance(options, dict):
        raise RequestError('options must be an object, such as {"drop_score": 0.6}', "options")
    allowed = tuple(allowed)
    for name in options:
        if name not in allowed:
            known = ", ".join(allowed) or "none, this module takes no options"
            raise RequestError(f"options: unknown option {name[:40]}: known are {known}", "options")
    options = dict(options)
    named = options.pop("recognizer", DEFAULT_RECOGNIZER)
    read_ = {name: _checked(name, value) for name, value in options.items()}
    read_ |= _recognizer(named, recognizers or {})
    if any(name.startswith("det_limit_") for name in read_):
        read_["det_limit_pixels"] = _PIXELS
    return read_


def _recognizer(name: Any, others: Recognizers) -> Mapping[str, Any]:
    _check_choice("recognizer", name, (DEFAULT_RECOGNIZER, *others))
    return others.get(name, {})


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise RequestError(
            f"options: {name}: {repr(value)[:40]} is not one of {', '.join(choices)}", "options"
        )


def _checked(name: str, value: Any) -> Any:
    shown = repr(value)[:40]
    if name in _CHOICES:
        _check_choice(name, value, _CHOICES[name])
        return value
    if name not in _NUMBERS:
        if not isinstance(value, bool):
            raise RequestError(f"options: {name}: {shown} is not true or false", "options")
        return value
    least, most = _NUMBERS[name]
    kind = int if name in _WHOLE else (int, float)
    if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= most:
        number = "a whole number" if name in _WHOLE else "a number"
        raise RequestError(
            f"options: {name}: {shown} is not {number} from {least} to {most}", "options"
        )
    return int(value) if name in _WHOLE else float(value)
