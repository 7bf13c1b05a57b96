"""Stubs for packages that PaddleHub or rapidocr import and serving does not use.

``import paddlehub`` pulls in its training, NLP, conversion and demo halves (paddlenlp, visualdl,
paddle2onnx, scipy, ...), and Paddle for them: hundreds of megabytes and seconds of start-up that
serving never uses. The image does not carry them, and Paddle in a variant only: :func:`install`
adds finders *behind* Python's own, so a package that is installed is always the one imported. A
``.pth`` file in site-packages calls it, so that the ``hub`` command gets them too. Others are there
and one process can do without them: :func:`stub` puts a finder *in front* of Python's own.

Either way a module without content is imported. Its names can be imported and subclassed, not
used: using one raises :class:`MissingPackageError` with the remedy.
"""

# Runs at each start of Python in the image: importlib.abc alone would double what that takes.

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import Any, NoReturn

#: Top-level packages PaddleHub 2.4.0 and Paddle import on their way to serving and the image lacks.
LEFT_OUT = frozenset(
    {"paddlenlp", "visualdl", "gradio", "paddle2onnx", "matplotlib", "scipy", "pycocotools", "git",
     "setuptools"}
)  # fmt: skip
PADDLE = "paddle"
#: What PaddleHub asks Paddle for as it is imported: the version of requirements.paddle.lock.
PADDLE_VERSION = "2.6.2"
#: PaddleHub uses it without importing it: Paddle did.
_BY_PADDLE = "PIL.Image"


class MissingPackageError(ImportError):
    """A dependency that is left out was used."""


class _StubName(type):
    """Metaclass of what a stub module hands out: may be imported and subclassed, not used."""

    _refuse: Callable[[str], NoReturn]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        cls._refuse(cls.__qualname__)

    def __getattr__(cls, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return _name(f"{cls.__qualname__}.{attribute}", cls.__module__, cls._refuse)


def _name(qualified: str, module: str, refuse: Callable[[str], NoReturn]) -> _StubName:
    content = {"__qualname__": qualified, "__module__": module, "_refuse": staticmethod(refuse)}
    return _StubName(qualified.rpartition(".")[2], (), content)


class _StubModule(ModuleType):
    """A module of a package that is left out."""

    _refuse: Callable[[str], NoReturn]

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return _name(f"{self.__name__}.{attribute}", self.__name__, self._refuse)


class _StubFinder:
    """Finder and loader of stub modules: ``names``, with ``attributes``, and all below them."""

    def __init__(
        self, names: Collection[str], remedy: str, attributes: Mapping[str, Any] | None = None
    ) -> None:
        self._names = frozenset(names)
        self._remedy = remedy
        self._attributes = attributes or {}

    def _refuse(self, name: str) -> NoReturn:
        package = name.partition(".")[0]
        raise MissingPackageError(
            f"{name} was used, but {self._remedy.format(package=package)}", name=name
        )

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        parts = fullname.split(".")
        if not any(".".join(parts[:end]) in self._names for end in range(1, len(parts) + 1)):
            return None
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if fullname not in self._names and not isinstance(parent, _StubModule):
            return None  # a package that is really installed lacks this submodule: say so as usual
        loader: Any = self
        return importlib.machinery.ModuleSpec(fullname, loader, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = _StubModule(spec.name)
        module._refuse = self._refuse
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in self._names:
            vars(module).update(self._attributes)
        if module.__name__ == PADDLE:
            importlib.import_module(_BY_PADDLE)


def install() -> None:
    """Put the finders of what the image leaves out last on ``sys.meta_path``, once."""
    if any(isinstance(finder, _StubFinder) for finder in sys.meta_path):
        return
    remedy = (
        "the ppocr image leaves {package} out: add {package} to "
        "ppocr_image_extra_requirements and build the image again"
    )
    finders: list[Any] = [
        _StubFinder(LEFT_OUT, remedy),
        _StubFinder(
            {PADDLE},
            "this image has no Paddle: deploy with ppocr_image_paddle: with",
            {"__version__": PADDLE_VERSION},
        ),
    ]
    sys.meta_path += finders


def has_paddle() -> bool:
    """Whether the image has Paddle, found without importing it."""
    return importlib.machinery.PathFinder.find_spec(PADDLE) is not None


def stub(package: str, remedy: str, **attributes: Any) -> None:
    """Stub a package, or a part of one, in this process; nothing if it is loaded already.

    Args:
        package: its name as imported, with dots for a part of a package.
        remedy: what :class:`MissingPackageError` says after "... was used, but".
        attributes: names the stub module has all the same, such as ``__version__``.
    """
    if package in sys.modules:
        return
    finder: Any = _StubFinder({package}, remedy, attributes)
    sys.meta_path.insert(0, finder)
    importlib.import_module(package)
