"""The predictors of this process, and the one thread that runs them.

Predictors are not safe to share between threads, and do not survive a fork. So everything that
touches one runs on a single thread of its own (:func:`run`), whichever thread a request came in on;
a forked child starts with none and loads its own at first use. Modules that use the same model
share it: det, cls and rec are loaded once for ocr_system and the single-stage modules together.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from .engines import EngineOptions
from .params import SystemParams

P = ParamSpec("P")
R = TypeVar("R")


def _new_executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")


_executor = _new_executor()


def run(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``function`` on the inference thread; wait for its result or exception."""
    return _executor.submit(function, *args, **kwargs).result()


@functools.cache
def detector(params: Any, options: EngineOptions) -> Any:
    """The :class:`~ppocr_serving.pipeline.detector.Detector` for these settings."""
    from .pipeline.detector import Detector

    return Detector(params, options)


@functools.cache
def classifier(params: Any, options: EngineOptions) -> Any:
    """The :class:`~ppocr_serving.pipeline.classifier.Classifier` for these settings."""
    from .pipeline.classifier import Classifier

    return Classifier(params, options)


@functools.cache
def recognizer(params: Any, options: EngineOptions) -> Any:
    """The :class:`~ppocr_serving.pipeline.recognizer.Recognizer` for these settings."""
    from .pipeline.recognizer import Recognizer

    return Recognizer(params, options)


@functools.cache
def system(params: SystemParams, options: EngineOptions) -> Any:
    """The :class:`~ppocr_serving.pipeline.system.System` for these settings."""
    from .pipeline.system import System

    return System(
        detector(params.det, options),
        classifier(params.cls, options) if params.use_angle_cls else None,
        recognizer(params.rec, options),
        params.drop_score,
    )


def _after_fork() -> None:
    global _executor
    _executor = _new_executor()
    for cached in (detector, classifier, recognizer, system):
        cached.cache_clear()


os.register_at_fork(after_in_child=_after_fork)
