"""The precision that models are served in: the operator's setting, or the image's verdict."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ppocr_contract import precision
from ppocr_contract.models import MODELS_ROOT


def has_bf16() -> bool:
    """Whether this CPU computes in bf16."""
    import openvino as ov  # a second and a hundred megabytes, which no other engine has use for

    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def resolved(asked: str, model_dirs: Iterable[str], engine: str = "openvino") -> str:
    """The precision for :class:`~.engines.EngineOptions`: ``auto`` where bf16 is allowed.

    Args:
        asked: ``hubserving_precision``.
        model_dirs: folders of the models; the verdict is on those of the image.
        engine: that computes; the verdict is on bf16, which openvino alone chooses by itself.
    """
    if asked != "auto" or engine != "openvino":
        return asked
    others = [folder for folder in model_dirs if MODELS_ROOT not in Path(folder).parents]
    allowed = not others and precision.verdict().precision == precision.BF16
    return "auto" if allowed else precision.F32


def described(asked: str, told: str) -> str:
    """What models are served in by openvino, and why.

    Args:
        asked: ``hubserving_precision``.
        told: what :func:`resolved` made of it for these models.
    """
    found = precision.verdict()
    if asked != "auto":
        return f"{asked}, as hubserving_precision says"
    if found.precision == precision.BF16 and told == precision.F32:
        return f"{told}, as a model from outside the image was never read in bf16"
    if found.precision == precision.BF16 and not has_bf16():
        return f"{precision.F32}, as this CPU has no bf16"
    return f"{found.precision}: {found.why}"
