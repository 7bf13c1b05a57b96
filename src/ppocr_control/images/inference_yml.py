"""What ``inference.yml`` says of a model: PaddleOCR and PaddleX export it with each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ppocr_contract import params
from ppocr_contract.models import ModelError

NAME = "inference.yml"
#: A dictionary of a hundred thousand characters has 1 MB as YAML.
_BYTES = 16_000_000
#: Texts as they stand: a dictionary may have the characters 1, ~ and =.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
#: The post-processing the pipeline has for each stage; an empty name is not compared.
_DECODERS = {
    "det": ("DBPostProcess", ""),
    "cls": ("ClsPostProcess", "Topk", ""),
    "rec": ("CTCLabelDecode", ""),
}
#: By stage, what the pipeline's parameters are called here.
_THRESHOLDS = {
    "thresh": "det_db_thresh",
    "box_thresh": "det_db_box_thresh",
    "unclip_ratio": "det_db_unclip_ratio",
}
#: How the pipeline normalises pages for detection; lines are normalised to -1 .. 1.
_NORMALISED = {
    "det": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "cls": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    "rec": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


@dataclass(frozen=True)
class Described:
    """What the file says: characters of the dictionary, and values of parameters by name."""

    characters: list[str]
    values: dict[str, Any]


def read(path: Path, stage: str) -> Described:
    """Read the file of a stage's model.

    Raises:
        ModelError: it cannot be read, or the pipeline has no such pre- or post-processing.
    """
    if path.stat().st_size > _BYTES:
        raise ModelError(f"{NAME} has more than {_BYTES // 1_000_000} MB, more than it can need")
    try:
        whole = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - texts
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{NAME} is not YAML: {' '.join(str(error).split())}") from error
    after, steps = _section(whole, "PostProcess"), _steps(_section(whole, "PreProcess"))
    decoder = _text(after.get("name") or "", "PostProcess.name")
    if decoder not in _DECODERS[stage]:
        raise ModelError(
            f"{NAME} says PostProcess {decoder}, and the stage {stage} has {_DECODERS[stage][0]}"
        )
    mode = _text(steps.get("DecodeImage", {}).get("img_mode", "BGR"), "DecodeImage.img_mode")
    if mode != "BGR":
        raise ModelError(f"{NAME} says DecodeImage.img_mode {mode}, and the pipeline has BGR")
    try:
        _check_normalisation(stage, steps.get("NormalizeImage", {}))
        values = params.check(_values(stage, after, steps))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{NAME}: {error}") from error
    return Described(_texts(after.get("character_dict") or [], "character_dict"), values)


def _text(value: Any, name: str) -> str:
    """The value, which has to be text: a few aliases can make lists that fill all memory as text.

    Aliases as such are not refused: those that PaddleX exports have some.
    """
    if not isinstance(value, str):
        raise ModelError(f"{NAME}: {name} must be text")
    return value


def _texts(values: Any, name: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ModelError(f"{NAME}: {name} must be a list of texts")
    if sum(map(len, values)) > _BYTES:
        raise ModelError(f"{NAME}: {name} is longer than the file: aliases of one text")
    return values


def _section(whole: Any, name: str) -> dict[str, Any]:
    section = whole.get(name) if isinstance(whole, dict) else None
    return section if isinstance(section, dict) else {}


def _steps(before: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The steps of pre-processing by name."""
    steps = before.get("transform_ops") or []
    return {
        name: options if isinstance(options, dict) else {}
        for step in steps
        if isinstance(step, dict)
        for name, options in step.items()
    }


def _check_normalisation(stage: str, said: dict[str, Any]) -> None:
    for name, ours in _NORMALISED[stage].items():
        theirs = _texts(said[name], f"NormalizeImage.{name}") if said.get(name) else ours
        if [float(value) for value in theirs] != ours:
            raise ModelError(
                f"{NAME} says NormalizeImage.{name} {theirs}, and the stage {stage} has {ours}"
            )


def _values(stage: str, after: dict[str, Any], steps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if stage == "det":
        values: dict[str, Any] = {
            ours: float(after[theirs]) for theirs, ours in _THRESHOLDS.items() if theirs in after
        }
        resize = steps.get("DetResizeForTest", {})
        if {"limit_side_len", "limit_type"} <= set(resize):
            values["det_limit_side_len"] = int(resize["limit_side_len"])
            values["det_limit_type"] = _text(resize["limit_type"], "limit_type")
        return values
    shape = steps.get("RecResizeImg", {}).get("image_shape")
    if stage != "rec" or not shape:
        return {}
    return {"rec_image_shape": ", ".join(_texts(shape, "RecResizeImg.image_shape"))}
