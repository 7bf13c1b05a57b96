"""Filters of role trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def trainer_status(status: Mapping[str, Any], container: str = "") -> str:
    """One line: state, epoch, loss, best accuracy, time left, and what ended a run that failed.

    Args:
        status: what the container writes (status.json); empty for a run that was never started.
        container: the engine's word for the container's state; empty where there is none.
    """
    if not status:
        started = container == "running"
        return "starting" if started else "not started (playbooks/train.yml starts it)"
    state = status["state"]
    if state == "training" and container != "running":
        state = f"interrupted, the container is {container or 'gone'} (playbooks/train.yml goes on)"
    parts = [state, f"epoch {status.get('epoch', 0)} of {status['epochs']}"]
    if status.get("loss") is not None:
        parts.append(f"loss {status['loss']:.4g}")
    if best := status.get("best"):
        indicator = best["indicator"]
        parts.append(f"best {indicator} {best[indicator]:.4f} in epoch {best['epoch']}")
    if state == "training" and status.get("left"):
        parts.append(f"{status['left']} left")
    return ", ".join([*parts, *status.get("why", [])])


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Any]:
        return {"trainer_status": trainer_status}
