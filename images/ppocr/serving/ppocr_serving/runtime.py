"""The models of this process, and the threads that run them.

Everything that takes a CPU (decoding, operators, inference) runs on the inference threads of an
engine, whichever thread a request came in on: with OpenVINO one more than the container has CPUs,
each with inference requests of its own, of which as many run at once as there are CPUs; twice as
many as CPUs with ONNX Runtime, half of which may wait for a batch; a single one with Paddle, whose
predictors must stay on the thread that made them.
Models do not survive a fork: a forked child starts with none and loads its own at first use.
Modules that use the same model share it.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any

from ppocr_contract.params import SystemParams

from . import request_options
from .engines import EngineOptions
from .threads import Threads

#: Held while something is loaded: two requests must not load it twice.
_loading = threading.RLock()
#: Stages that are loaded, or being loaded, by what they are loaded with.
_begun: dict[tuple[str, Any, EngineOptions], Future[Any]] = {}


@functools.cache
def _threads(engine: str, count: int) -> Threads:
    return Threads(count)


def threads(options: EngineOptions) -> Threads:
    """The inference threads for these options."""
    count = options.parallel
    if options.engine == "onnxruntime":
        count *= 2
    elif count > 1:
        # One more than infer at once: it decodes and sorts while the others wait for theirs.
        count += 1
    with _loading:
        return _threads(options.engine, count)


def _loaded(params: Any) -> Any:
    """What a model is loaded with: the parameters without those that a request may set."""
    fields = {field.name: field.default for field in dataclasses.fields(params)}
    mine = (name for name in request_options.SET if name in fields)
    return dataclasses.replace(params, **{name: fields[name] for name in mine})


def _begin(kind: str, params: Any, options: EngineOptions) -> Future[Any]:
    """Begin to load a stage, unless it was begun before."""
    key = (kind, params, options)
    if begun := _begun.get(key):
        return begun
    # Imported when asked for: operators and engines take seconds to import.
    from . import known_line
    from .pipeline.classifier import Classifier
    from .pipeline.detector import Detector
    from .pipeline.recognizer import Recognizer

    makers: dict[str, Callable[..., Any]] = {
        "det": Detector,
        "cls": Classifier,
        "rec": Recognizer,
    }
    start = threads(options).start
    begun = _begun[key] = start(known_line.proved, kind, makers[kind], params, options)
    return begun


def _stage(kind: str, params: Any, options: EngineOptions) -> Any:
    try:
        return _begin(kind, _loaded(params), options).result()
    except BaseException:
        # The next request tries again. What is loaded stays: the thread of its batcher would keep
        # it in the card's memory, beside what took its place.
        for key in [key for key, begun in _begun.items() if begun.done() and begun.exception()]:
            del _begun[key]
        raise


def detector(params: Any, options: EngineOptions) -> Any:
    """The :class:`~ppocr_serving.pipeline.detector.Detector` for these settings."""
    with _loading:
        return _stage("det", params, options).with_params(params)


def classifier(params: Any, options: EngineOptions) -> Any:
    """The :class:`~ppocr_serving.pipeline.classifier.Classifier` for these settings."""
    with _loading:
        return _stage("cls", params, options)


def recognizer(params: Any, options: EngineOptions) -> Any:
    """The :class:`~ppocr_serving.pipeline.recognizer.Recognizer` for these settings."""
    with _loading:
        return _stage("rec", params, options)


def recognizers(of: Collection[Any], options: EngineOptions) -> None:
    """Load the recogniser for each of these parameters."""
    with _loading:
        for params in of:
            _begin("rec", _loaded(params), options)
        for params in of:
            _stage("rec", params, options)


def system(params: SystemParams, options: EngineOptions) -> Any:
    """The :class:`~ppocr_serving.pipeline.system.System` for these settings."""
    from .pipeline.system import System

    turns = params.use_angle_cls or params.use_doc_orientation_classify
    with _loading:
        # All begun before the first is waited for: reading and compiling a model takes one CPU.
        _begin("rec", _loaded(params.rec), options)
        _begin("det", _loaded(params.det), options)
        return System(
            detector(params.det, options),
            classifier(params.cls, options) if turns else None,
            recognizer(params.rec, options),
            params,
            threads(options),
        )


@functools.cache
def _corrector() -> Any:
    from .correction.corrector import Corrector

    return Corrector()


def corrector() -> Any:
    """The :class:`~ppocr_serving.correction.corrector.Corrector` of this image."""
    with _loading:
        return _corrector()


def _after_fork() -> None:
    global _loading
    _loading = threading.RLock()
    _begun.clear()
    for cached in (_threads, _corrector):
        cached.cache_clear()


os.register_at_fork(after_in_child=_after_fork)
