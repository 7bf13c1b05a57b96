"""The model card: what a model was made of, and what it was measured to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .places import write_json


def write(folder: Path, about: Mapping[str, Any]) -> None:
    """Write model-card.json and model-card.md into the folder of a model."""
    write_json(folder / "model-card.json", dict(about))
    (folder / "model-card.md").write_text(_page(about), encoding="utf-8")


def _page(about: Mapping[str, Any]) -> str:
    trained, proof, best = about["trained_with"], about["proof"], about["best"]
    sums = trained.get("sums", {})
    general = about["general_set"]
    rows = [
        ("Config", trained.get("config")),
        ("PaddleOCR commit", trained.get("commit") or "not known"),
        (
            "Best on the validation set",
            f"{best[best['indicator']]:.4f} ({best['indicator']}, epoch {best['epoch']})",
        ),
        ("Exported model on the validation set", _number(proof.get("accuracy"))),
        ("General set before training", _number(_value(general, "before", best["indicator"]))),
        ("General set after training", _number(_value(general, "after", best["indicator"]))),
        ("Compared with the checkpoint", f"{proof['lines']} lines read alike"),
        *((f"sha256 of {name}", value) for name, value in sums.items() if value),
    ]
    lines = [
        "# Model card",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    return "\n".join(lines) + "\n"


def _value(general: Mapping[str, Any], when: str, indicator: str) -> float | None:
    return (general.get(when) or {}).get(indicator)


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
