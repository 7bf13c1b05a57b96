"""What a run was started with: it resumes with the same, or it is another run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .findings import Finding

#: What decides a model, and the setting that gives it.
_SETTINGS = {"config": "trainer_config", "overrides": "trainer_overrides"}
_SUMS = {
    "source": "trainer_source",
    "data": "trainer_data",
    "dictionary": "trainer_dictionary",
    "weights": "trainer_pretrained",
}


def check(begun: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Finding]:
    """Refuse to mix what a run was begun with and what is given now.

    Args:
        begun: the job the run was begun with; empty for a new run.
        given: the job as it is now; without ``sums`` its files are not compared.
    """
    if not begun:
        return
    other = [setting for key, setting in _SETTINGS.items() if begun.get(key) != given.get(key)]
    if "sums" in given:
        was, now = begun.get("sums", {}), given["sums"]
        other += [setting for key, setting in _SUMS.items() if was.get(key) != now.get(key)]
    for setting in other:
        remedy = "set it as it was"
        if setting == "trainer_source" and begun.get("commit"):
            remedy += f" (of a git URL, set trainer_source_version: {begun['commit']})"
        yield Finding(
            "another_run", setting, "this run was begun with another one",
            f"{remedy}, or begin a new run with another trainer_name", fatal=True,
        )  # fmt: skip
