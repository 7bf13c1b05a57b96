"""Whether Paddle is needed: decided here for the control node, the build and the service.

The image for CPUs has it in a variant only, whose tag ends in ``-paddle``. Standard library only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

#: The image label that says whether an image has Paddle. Images of former versions have no such
#: label, and all have Paddle.
LABEL = "org.ppocr.paddle"
WITH, WITHOUT = "with", "without"
#: What ends the tag of that variant.
SUFFIX = "-paddle"
#: What to do where an image lacks it.
REMEDY = (
    f"use the image with Paddle, whose tag ends in {SUFFIX} (a deploy makes and sends it where "
    "settings need it, and ppocr_image_paddle: with wherever it is set)"
)
#: Parts of PaddleHub that are made on Paddle.
_PARTS = ("compat", "datasets", "finetune", "text", "vision", "module.audio_module",
          "module.cv_module", "module.nlp_module")  # fmt: skip
_ON_PADDLE = tuple(f"paddlehub.{part}" for part in _PARTS)
_REQUIREMENT = re.compile(r"\s*(paddlepaddle[\w-]*)", re.IGNORECASE)


def of_config(
    modules: Mapping[str, Mapping[str, Any]], folder_of: Callable[[str], Path | None]
) -> str:
    """Why what a config.json serves needs Paddle: its first module that does; empty if none does.

    Args:
        modules: its ``modules_info``, checked.
        folder_of: the folder of a module that is not in a ``directory`` of its own; None where it
            is not known.
    """
    for name, info in modules.items():
        given = info["init_args"]
        if given.get("engine") == "paddle":
            return f"{name} has the engine paddle (hubserving_engine)"
        folder = Path(given["directory"]) if "directory" in given else folder_of(name)
        if folder and (why := of_module(folder)):
            return f"module {name} needs it: {why}"
    return ""


def of_module(folder: Path) -> str:
    """Why a PaddleHub module needs Paddle, by its code and not by its name; empty if it does not.

    Modules built on ppocr_serving need none of their own. Around the methods of others, PaddleHub
    switches Paddle's mode.
    """
    module = folder / "module.py"
    if not module.is_file():
        return ""  # PaddleHub says so itself
    if not _names(_imported(module), "ppocr_serving"):
        return "it is not built on ppocr_serving"
    for file in sorted(folder.rglob("*.py")):
        if found := _names(_imported(file), "paddle", *_ON_PADDLE):
            return f"{file.relative_to(folder)} imports {found}"
    wanted = folder / "requirements.txt"
    if wanted.is_file() and (found := of_requirements(wanted.read_text().splitlines())):
        return f"its requirements.txt names {found}"
    return ""


def of_requirements(lines: Iterable[str]) -> str:
    """The first requirement that is Paddle; empty without one."""
    return next((found[1] for line in lines if (found := _REQUIREMENT.match(line))), "")


def _names(imported: Iterable[str], *packages: str) -> str:
    """The first name that is one of the packages, or a part of one; empty without one."""
    return next(
        (name for name in imported if any(f"{name}.".startswith(f"{p}.") for p in packages)), ""
    )


def _imported(file: Path) -> list[str]:
    """Names of modules a file imports, anywhere in it; of ``from a import b`` both a and a.b."""
    names: list[str] = []
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # cannot be imported, so it imports nothing
        return names
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names
