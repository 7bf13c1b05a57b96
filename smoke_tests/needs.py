"""Which samples the settings of a service leave readable.

A sample says what its text needs of the pipeline's parameters, under their names in
``hubserving_params``: ``{"use_angle_cls": true}`` for a value,
``{"det_limit_side_len": {"min": 640, "max": 1120}}`` for a range. A parameter that is not set has
its default, with which all are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SETTING = "hubserving_params"
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def read_params(text: str | None) -> dict[str, Any]:
    """The parameters a service was given, from JSON.

    Raises ValueError with one sentence when it is no object.
    """
    if not text:
        return {}
    try:
        params = json.loads(text)
    except ValueError as error:
        raise ValueError(f"--params {text!r} is not JSON: {error}") from None
    if not isinstance(params, dict):
        raise ValueError(f'--params {text!r} is not an object such as {{"use_angle_cls": false}}')
    return params


def lacking(needs: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """What parameters keep a sample from being read, as the end of a sentence; '' for nothing."""
    told = [
        f"{name} {_words(needs[name])}"
        for name in needs
        if name in params and not _meets(params[name], needs[name])
    ]
    return f"needs {', '.join(told)} ({SETTING})" if told else ""


def _meets(value: Any, need: Any) -> bool:
    if isinstance(need, bool):
        return _WORDS.get(str(value).strip().lower(), value) == need
    if not isinstance(need, Mapping):
        return str(value).strip() == str(need)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return True  # the service refuses it itself
    return bool(need.get("min", number) <= number <= need.get("max", number))


def _words(need: Any) -> str:
    if not isinstance(need, Mapping):
        return json.dumps(need)
    words = {"min": "at least", "max": "at most"}
    return " and ".join(f"{words[end]} {need[end]}" for end in ("min", "max") if end in need)
