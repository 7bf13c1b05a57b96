"""The PaddleHub modules of an image: built-in ones, and the operator's, which may replace them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from ppocr_contract import paddle

from .. import IMAGES

#: The folder of the built-in modules.
BUILT_IN = IMAGES / "ppocr/modules"
_SETTING = "ppocr_image_extra_modules"


class ModuleError(ValueError):
    """A folder is not an installable module; the message names setting, folder and remedy."""


def declared_name(folder: Path) -> str | None:
    """Return the name in a module's ``@moduleinfo``; None if it is not a string literal.

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
            names = [each.value for each in decorator.keywords if each.arg == "name"]
            value = names[0].value if names and isinstance(names[0], ast.Constant) else None
            return value if isinstance(value, str) else None
    raise ModuleError(
        f"{_SETTING}: {file} declares no module: a class with @moduleinfo(name=...) is missing"
    )


def _is_moduleinfo(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "moduleinfo"


def custom_modules(folders: Iterable[str]) -> dict[str, Path]:
    """Return the operator's modules by name, checked.

    Raises:
        ModuleError: not a module, a name that differs from the folder's, or a duplicate name.
    """
    found: dict[str, Path] = {}
    for given in folders:
        folder = Path(given).expanduser().absolute()
        declared = declared_name(folder)
        # PaddleHub installs it as a Python package.
        if declared is not None and declared.replace("-", "_") != folder.name.replace("-", "_"):
            raise ModuleError(
                f"{_SETTING}: the module in {folder} declares the name {declared!r} "
                f"(moduleinfo in module.py): rename the folder to {declared}, or change the "
                f"declared name to {folder.name}"
            )
        if folder.name in found:
            raise ModuleError(
                f"{_SETTING}: {found[folder.name]} and {folder} are both named {folder.name}, "
                "which must be unique: remove or rename one"
            )
        found[folder.name] = folder
    return found


def all_modules(folders: Iterable[str]) -> dict[str, Path]:
    """Return all modules of the image by name; the operator's replace built-in ones."""
    built_in = {file.parent.name: file.parent for file in sorted(BUILT_IN.glob("*/module.py"))}
    return built_in | custom_modules(folders)


def requirements(folders: Iterable[str]) -> list[str]:
    """Return the lines of requirements.txt of the operator's modules."""
    files = (folder / "requirements.txt" for folder in custom_modules(folders).values())
    return [line for file in files if file.is_file() for line in file.read_text().splitlines()]


def why_paddle(folders: Iterable[str], extra_requirements: Iterable[str]) -> str:
    """Why the operator's modules or requirements need Paddle, with the setting; empty if none does.

    Raises:
        ModuleError: see :func:`custom_modules`.
    """
    for name, folder in custom_modules(folders).items():
        if why := paddle.of_module(folder):
            return f"module {name} of {_SETTING} needs Paddle ({why})"
    if found := paddle.of_requirements(extra_requirements):
        return f"ppocr_image_extra_requirements names {found}"
    return ""
