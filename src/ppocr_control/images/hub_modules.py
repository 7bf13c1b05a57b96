"""The PaddleHub modules of an image: ours, and the operator's besides or in place of them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from .. import IMAGES

#: Where ours are.
OURS = IMAGES / "ppocr/modules"
_SETTING = "ppocr_image_extra_modules"


class ModuleError(ValueError):
    """A folder is no module that can be installed; the message names setting, folder and remedy."""


def declared_name(folder: Path) -> str | None:
    """The name a module's ``@moduleinfo`` declares; None where it is not written as plain text.

    Raises:
        ModuleError: no module.py, or one that is not Python or declares no module.
    """
    file = folder / "module.py"
    if not file.is_file():
        raise ModuleError(
            f"{_SETTING}: {folder} is no PaddleHub module folder (no module.py in it)"
        )
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise ModuleError(f"{_SETTING}: {file} is not Python: {error}") from error
    for node in tree.body:
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            if not isinstance(decorator, ast.Call) or not _is_moduleinfo(decorator.func):
                continue
            names = [word.value for word in decorator.keywords if word.arg == "name"]
            value = names[0].value if names and isinstance(names[0], ast.Constant) else None
            return value if isinstance(value, str) else None
    raise ModuleError(
        f"{_SETTING}: {file} declares no module: a class with @moduleinfo(name=...) is missing"
    )


def _is_moduleinfo(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "moduleinfo"


def theirs(folders: Iterable[str]) -> dict[str, Path]:
    """The operator's modules by name, checked. One named as ours takes its place.

    Raises:
        ModuleError: no module, a name that is not its folder's, or two of one name.
    """
    found: dict[str, Path] = {}
    for given in folders:
        folder = Path(given).expanduser().absolute()
        declared = declared_name(folder)
        # PaddleHub makes a Python package of it.
        if declared is not None and declared.replace("-", "_") != folder.name.replace("-", "_"):
            raise ModuleError(
                f"{_SETTING}: the module in {folder} declares the name {declared!r} "
                f"(moduleinfo in module.py): name the folder {declared}, too, or change the "
                f"declared name to {folder.name}"
            )
        if folder.name in found:
            raise ModuleError(
                f"{_SETTING}: {found[folder.name]} and {folder} are both named {folder.name}, and "
                "an image has one module of a name: leave one out, or rename it"
            )
        found[folder.name] = folder
    return found


def all_of(folders: Iterable[str]) -> dict[str, Path]:
    """Every module of the image by name: ours, less those the operator's replace, and theirs."""
    ours = {file.parent.name: file.parent for file in sorted(OURS.glob("*/module.py"))}
    return ours | theirs(folders)


def requirements(folders: Iterable[str]) -> list[str]:
    """What the operator's modules ask pip for in a requirements.txt of theirs, line by line."""
    files = (folder / "requirements.txt" for folder in theirs(folders).values())
    return [line for file in files if file.is_file() for line in file.read_text().splitlines()]
