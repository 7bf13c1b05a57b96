"""Stand for the parts of PaddleHub's dependencies that the image leaves out.

``import paddlehub`` pulls in its training, NLP, conversion and demo halves (paddlenlp, visualdl,
paddle2onnx, scipy, ...): hundreds of megabytes and seconds of start-up that serving never uses.
The image does not carry them. :func:`install` adds a finder *behind* Python's own, so a package
that is installed is always the one imported; a missing one becomes an empty module whose names can
be imported but not used: using one raises :class:`AbsentDependencyError` with the remedy.

A ``.pth`` file in site-packages calls :func:`install`, so that the ``hub`` command gets it too.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any, NoReturn

#: Top-level packages PaddleHub 2.4.0 imports on its way to serving and the image leaves out.
LEFT_OUT = frozenset(
    {"paddlenlp", "visualdl", "gradio", "paddle2onnx", "matplotlib", "scipy", "pycocotools", "git"}
)


class AbsentDependencyError(ImportError):
    """A dependency the image leaves out was used."""


def _refuse(name: str) -> NoReturn:
    package = name.partition(".")[0]
    raise AbsentDependencyError(
        f"{name} was used, but the ppocr image leaves {package} out: add {package} to "
        "ppocr_image_extra_requirements and build the image again",
        name=name,
    )


class _AbsentName(type):
    """Metaclass of what an absent module hands out: may be imported and subclassed, not used."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        _refuse(cls.__qualname__)

    def __getattr__(cls, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        _refuse(f"{cls.__qualname__}.{attribute}")


class _AbsentModule(ModuleType):
    """A module of a package that is left out."""

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        name = f"{self.__name__}.{attribute}"
        return _AbsentName(attribute, (), {"__qualname__": name, "__module__": self.__name__})


class _AbsentFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in LEFT_OUT:
            return None
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if parent is not None and not isinstance(parent, _AbsentModule):
            return None  # a package that is really installed lacks this submodule: say so as usual
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        return None


def install() -> None:
    """Put the finder last on ``sys.meta_path``, once."""
    if not any(isinstance(finder, _AbsentFinder) for finder in sys.meta_path):
        sys.meta_path.append(_AbsentFinder())
