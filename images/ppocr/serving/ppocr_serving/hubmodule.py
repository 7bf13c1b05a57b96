"""What the PaddleHub modules that read pictures have in common.

A module (images/ppocr/modules/ocr_*/module.py) says which parameters it takes and how one image or
one request is answered; loading, decoding and refusing what the contract does not know is here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from ppocr_contract import models, params, resources
from ppocr_contract.config import ENGINES, default_engine, load
from ppocr_contract.models import ModelError, check_model

from . import request_options, runtime
from .checks import config_file
from .cpus import available_cpus
from .engines import EngineError, EngineOptions
from .files import from_base64
from .gpu import require_visible_device, visible_devices
from .memory import CUT_OUT, Room, forget_room, inferences, room
from .pdf import documents
from .pipeline.frames import MOST
from .pipeline.picture import Picture
from .precision import resolved
from .report import Report, RequestError, current, stage
from .served_module import ServedModule
from .threads import Threads

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Pixels: a card has a session for each width, and each takes up to 400 MB.
_WIDTH_STEP_OF_CARDS = 160

#: What is wrong with the process or its settings: no other picture would fare better.
_OF_ALL = (EngineError, ModelError, MemoryError)
_NO_MEMORY = -4  # OpenCV's StsNoMem


def _width_step(engine: str, asked: int) -> int:
    """Pixels; see EngineOptions."""
    return {"openvino": asked, "onnxruntime": max(asked, _WIDTH_STEP_OF_CARDS)}.get(engine, 1)


def params_beside(module_file: str) -> Any:
    """What ``read_params()`` of the ``params.py`` next to a module.py gives.

    Loaded by path, so that module.py runs on its own as well as installed with ``hub install``.
    """
    read_params = runpy.run_path(str(Path(module_file).with_name("params.py")))["read_params"]
    return read_params()


class OcrModule(ServedModule):
    """Base of the OCR modules.

    Args:
        use_gpu, enable_mkldnn: as in the guide's config.json.
        engine: ``openvino``, ``onnxruntime`` or ``paddle``; by default the device's.

    Raises:
        EngineError: the combination cannot be served, or no GPU is visible.
        ModelError: a model folder is incomplete.
        ParamsError: a parameter is unknown or has a wrong value.
    """

    request_keys = ("images", "pdfs")
    #: Whether an image is a page, so that pages of PDFs can be read too.
    reads_pages = True

    def __init__(
        self, use_gpu: bool = False, enable_mkldnn: bool = False, engine: str | None = None
    ) -> None:
        super().__init__()
        if use_gpu:
            require_visible_device()
        self._params = self.read_params()
        #: What a request may name beside the default one.
        self._recognizers = {
            name: params.of_recognizer(name)
            for name in models.recognizers()
            if "recognizer" in self.request_options
        }
        model_dirs = [
            value
            for values in (vars(self._params), *self._recognizers.values())
            for name, value in values.items()
            if name.endswith("_model_dir")
        ]
        engine = engine or default_engine(use_gpu)
        cpus = available_cpus()
        workers = len(visible_devices()) * self.limits.workers_per_gpu if use_gpu else 0
        #: Worker processes of this container.
        self._workers = workers or self.limits.workers
        served = load(config_file()).modules
        beside = resources.loaded_beside(len(models.recognizers()), served)
        at_once = inferences(cpus, self._workers, beside)
        self.options = EngineOptions(
            engine=engine,
            use_gpu=use_gpu,
            enable_mkldnn=enable_mkldnn and not use_gpu,
            threads=cpus if engine == "paddle" else at_once,
            gpu_mem=self._params.gpu_mem,
            precision=resolved(self.limits.precision, model_dirs, engine),
            width_step=_width_step(engine, self.limits.width_step),
            shapes=self.limits.gpu_shapes,
        )
        # A missing model is reported now; the predictors themselves are made after any fork.
        for folder in model_dirs:
            check_model(Path(folder))

    def read_params(self) -> Any:
        """The module's parameters."""
        raise NotImplementedError

    @property
    def params(self) -> Any:
        """The module's parameters, overridden by the options of the current request."""
        report = current()
        if report is None or not report.options:
            return self._params
        return dataclasses.replace(self._params, **report.options)

    def read_options(self, options: object) -> dict[str, Any]:
        return request_options.read(options, self.request_options, self._recognizers)

    def load_recognizers(self) -> None:
        """Load those that requests may name, all at once: no request waits for its own."""
        if self._recognizers:
            each = [dataclasses.replace(self._params, **v).rec for v in self._recognizers.values()]
            runtime.recognizers(each, self.options)

    def pipeline(self) -> Any:
        """The loaded stage or system."""
        raise NotImplementedError

    @property
    def threads(self) -> Threads:
        """The inference threads of this module's engine."""
        return runtime.threads(self.options)

    def predict(self, images: list[np.ndarray]) -> list[Any]:
        """Answer decoded images (BGR, uint8): a result for each."""
        raise NotImplementedError

    def arrange(self, results: list[Any], places: list[int | None]) -> list[Any]:
        """The answer's ``results``: one an image, an empty one for what is no image, as in stock.

        ``places`` has, for each image of the request, the number of its result.
        """
        return [[] if place is None else results[place] for place in places]

    def answer(self, images: Any = None, *, options: Any = None, **given: Any) -> list[Any]:
        """Answer a request; modules of operators pass ``images`` by their place."""
        return super().answer(images=images, options=options, **given)

    def respond(self, report: Report, given: Mapping[str, Any]) -> list[Any]:
        """Answer a request's ``images`` (base64 strings), then the pages of its ``pdfs``.

        Raises:
            RequestError: no images or too many, or bad base64.
        """
        self.load_recognizers()  # hub serving warms nothing up
        images, pdfs = given.get("images"), given.get("pdfs")
        until = self.room.patience()
        # May take the time of several pages, however small its pictures are.
        report.large = "det_limit_pixels" in report.options
        if pdfs is None:
            return self._answer(report, images, until)
        # Looked at first: a request that is wrong costs no inference.
        orders = documents.read_orders(pdfs, self.limits, self.reads_pages)
        report.large = True
        results = [] if images in (None, []) else self._answer(report, images, until)
        return results + documents.answer(
            orders, self.predict_each, report, self.limits, self.room, until
        )

    def _answer(self, report: Report, images: Any, until: float) -> list[Any]:
        if not isinstance(images, list) or not images:
            raise RequestError("images must be a list of at least one base64 string", "images")
        limit = self.limits.images_limit
        if len(images) > limit:
            raise RequestError(
                f"{len(images)} images are more than {limit} (hubserving_images_limit)",
                "images",
                413,
            )
        report.images = len(images)
        files = [from_base64(image) for image in images]
        places: list[int | None] = [None] * len(files)
        results: list[Any] = []
        seen = self.threads.map(self._look, files)
        cost = sum(picture.cost for picture in seen if isinstance(picture, Picture))
        report.large = report.large or self.room.is_large(cost)
        for group in self._groups(report, seen):
            numbers, pictures = zip(*group, strict=True)
            with self.room.held(sum(picture.cost for picture in pictures), until) as keep:
                decoded = self.threads.map(self._decode, pictures)
                keep(self._copies(report) * sum(getattr(image, "nbytes", 0) for image in decoded))
                self._read(report, dict(zip(numbers, decoded, strict=True)), results, places)
                del decoded  # before others take its room
        report.count_lines(results)
        return self.arrange(results, places)

    def _copies(self, report: Report) -> int:
        """How many copies of a picture are in memory while it is read."""
        # A page that is turned upright exists twice.
        copies = 2 if getattr(self.params, "use_doc_orientation_classify", False) else 1
        # Lines of a page are cut out with fewer pixels than it has, except with such thresholds.
        if any(name.startswith("det_db_") for name in report.options):
            copies += CUT_OUT
        return copies

    def _groups(
        self, report: Report, pictures: list[Picture | RequestError]
    ) -> Iterator[list[tuple[int, Picture]]]:
        """Groups of numbered pictures that fit the memory together: usually one group."""
        group: list[tuple[int, Picture]] = []
        taken = 0
        for number, picture in enumerate(pictures):
            name = f"images[{number}]"
            if isinstance(picture, RequestError):
                report.unreadable[name] = picture
            elif picture.cost > self.room.total:
                report.unreadable[name] = self.room.refusal(
                    picture.width, picture.height, picture.cost
                )
            else:
                if picture.frames > 1:
                    report.notes[name] = _unread(picture.frames)
                if taken + picture.cost > self.room.total:
                    yield group
                    group, taken = [], 0
                group.append((number, picture))
                taken += picture.cost
        if group:
            yield group

    def _read(
        self,
        report: Report,
        decoded: dict[int, np.ndarray | RequestError],
        results: list[Any],
        places: list[int | None],
    ) -> None:
        """Add the results of decoded pictures, by their numbers, and where they are."""
        images = {n: image for n, image in decoded.items() if isinstance(image, np.ndarray)}
        report.pixels += sum(image.shape[0] * image.shape[1] for image in images.values())
        found = dict(zip(images, self.predict_each(list(images.values())), strict=True))
        for number, result in (decoded | found).items():
            if isinstance(result, RequestError):
                report.unreadable[f"images[{number}]"] = result
            else:
                places[number] = len(results)
                results.append(result)

    def predict_each(self, images: list[np.ndarray]) -> list[Any]:
        """:meth:`predict`, with a RequestError in the place of an image it fails on."""
        if not images:
            return []
        try:
            return self.predict(images)
        except Exception as error:
            if len(images) == 1:
                return [_fault_of_picture(error)]
            _raise_if_of_all(error)
        return [result for image in images for result in self.predict_each([image])]

    @property
    def room(self) -> Room:
        """Where pictures wait until there is memory for them."""
        return room(self.limits, self._workers, self.threads.count)

    def _look(self, data: bytes) -> Picture | RequestError:
        return _alone(lambda: Picture(data, self.limits.pixels))

    def _decode(self, picture: Picture) -> np.ndarray | RequestError:
        return _alone(picture.pixels)

    def warm_up(self) -> None:
        """Load the models and run them once; what memory is left is for pictures."""
        page = np.full((64, 320, 3), 255, np.uint8)
        cv2.putText(page, "ready", (20, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 2)
        self.load_recognizers()
        self.predict([page])
        forget_room()
        _ = self.room

    @property
    def device(self) -> str:
        """Where the models run; loads them if need be."""
        device: str = self.pipeline().device
        return device


def _raise_if_of_all(error: Exception) -> None:
    """Raise what does not concern one picture alone."""
    out_of_memory = isinstance(error, cv2.error) and error.code == _NO_MEMORY
    if out_of_memory or isinstance(error, _OF_ALL):
        raise error


def _fault_of_picture(error: Exception) -> RequestError:
    """The result in place of a picture on which ``error`` occurred."""
    if isinstance(error, RequestError):
        return error
    _raise_if_of_all(error)
    log.error("a picture could not be read", exc_info=error)
    return RequestError("the service failed on this picture; its log has more", "internal", 500)


def _alone(work: Callable[[], T]) -> T | RequestError:
    """The result of decoding one picture, or what is wrong with it."""
    with stage("decode"):
        try:
            return work()
        except Exception as error:
            return _fault_of_picture(error)


def _unread(frames: int) -> str:
    others = "others" if frames >= MOST else f"other {frames - 1}"
    return f"it has several pages or frames: the first was read, the {others} not"


class SingleStageModule(OcrModule):
    """A module that takes each image for one line: one outer list for the request, as in stock."""

    reads_pages = False

    def arrange(self, results: list[Any], places: list[int | None]) -> list[Any]:
        return [[results[place] for place in places if place is not None]]


def debug(module: type[OcrModule]) -> None:
    """Run a module on image files from the command line, as the guide recommends before serving."""
    parser = argparse.ArgumentParser(description=module.__doc__)
    parser.add_argument("images", nargs="+", type=Path, help="image files")
    parser.add_argument("--use_gpu", action="store_true")
    parser.add_argument("--enable_mkldnn", action="store_true")
    parser.add_argument("--engine", choices=ENGINES)
    args = parser.parse_args()
    loaded = module(use_gpu=args.use_gpu, enable_mkldnn=args.enable_mkldnn, engine=args.engine)
    images = []
    for path in args.images:
        image = cv2.imread(str(path))
        if image is None:
            sys.exit(f"{path} is no image OpenCV can read, or does not exist")
        images.append(image)
    print(
        json.dumps(
            loaded.arrange(loaded.predict(images), list(range(len(images)))),
            ensure_ascii=False,
            indent=1,
        )
    )
