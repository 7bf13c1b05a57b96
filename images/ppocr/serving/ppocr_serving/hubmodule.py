"""What the four PaddleHub modules have in common.

A module (images/ppocr/modules/ocr_*/module.py) says which parameters it takes and how one image or
one request is answered; loading, decoding and refusing what the contract does not know is here.
"""

from __future__ import annotations

import argparse
import json
import logging
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from paddlehub.module.module import RunModule

from . import runtime
from .cpus import available_cpus
from .engines import EngineOptions
from .gpu import require_visible_device
from .models import check_model

log = logging.getLogger(__name__)


def params_beside(module_file: str) -> Any:
    """What ``read_params()`` of the ``params.py`` next to a module.py gives.

    Loaded by path, so that module.py runs on its own as well as installed with ``hub install``.
    """
    read_params = runpy.run_path(str(Path(module_file).with_name("params.py")))["read_params"]
    return read_params()


class OcrModule(RunModule):
    """Base of the OCR modules.

    Args:
        use_gpu, enable_mkldnn: as in the guide's config.json.
        engine: ``openvino`` or ``paddle``; by default paddle on a GPU, else openvino.

    Raises:
        EngineError: the combination cannot be served, or no GPU is visible.
        ModelError: a model folder is incomplete.
        ParamsError: a parameter is unknown or has a wrong value.
    """

    def __init__(
        self, use_gpu: bool = False, enable_mkldnn: bool = False, engine: str | None = None
    ) -> None:
        super().__init__()
        if use_gpu:
            require_visible_device()
        self.params = self.read_params()
        self.options = EngineOptions(
            engine=engine or ("paddle" if use_gpu else "openvino"),
            use_gpu=use_gpu,
            enable_mkldnn=enable_mkldnn and not use_gpu,
            threads=available_cpus(),
        )
        # A missing model is told now; the predictors themselves are made after any fork.
        for name, value in vars(self.params).items():
            if name.endswith("_model_dir"):
                check_model(Path(value))

    def read_params(self) -> Any:
        """The module's parameters."""
        raise NotImplementedError

    def pipeline(self) -> Callable[[Any], Any]:
        """The loaded stage or system; called on the inference thread only."""
        raise NotImplementedError

    def predict(self, images: Sequence[np.ndarray | None]) -> list[Any]:
        """Answer decoded images (BGR, uint8; None where one was no image)."""
        raise NotImplementedError

    def answer(self, images: Any = None, **unknown: Any) -> list[Any]:
        """Answer a request's ``images`` (base64 strings).

        Raises:
            ValueError: no images, bad base64, or a key the contract does not know; among them
                ``paths``, with which stock modules open files of the server.
        """
        from .pipeline.image import decode_image

        if unknown:
            raise ValueError(f"unknown key {', '.join(sorted(unknown))}: only images is accepted")
        if not isinstance(images, list) or not images:
            raise ValueError("images must be a list of at least one base64 string")
        decoded = [decode_image(image) for image in images]
        return runtime.run(self.predict, decoded)

    def each(
        self, images: Sequence[np.ndarray | None], lines: Callable[[np.ndarray], list[Any]]
    ) -> list[Any]:
        """One list per image; an empty one for what is no image, as the stock modules do."""
        return [[] if image is None else lines(image) for image in images]

    def together(
        self, images: Sequence[np.ndarray | None], rows: Callable[[list[np.ndarray]], list[Any]]
    ) -> list[Any]:
        """One outer list for the request; what is no image is passed over, as in stock."""
        return [rows([image for image in images if image is not None])]

    def warm_up(self) -> None:
        """Load the predictors and run them once."""
        page = np.full((64, 320, 3), 255, np.uint8)
        cv2.putText(page, "ready", (20, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 2)
        runtime.run(self.predict, [page])

    @property
    def device(self) -> str:
        """Where the predictors run; loads them if need be."""
        return runtime.run(lambda: self.pipeline().device)  # type: ignore[attr-defined]


def debug(module: type[OcrModule]) -> None:
    """Run a module on image files from the command line, as the guide recommends before serving."""
    parser = argparse.ArgumentParser(description=module.__doc__)
    parser.add_argument("images", nargs="+", type=Path, help="image files")
    parser.add_argument("--use_gpu", action="store_true")
    parser.add_argument("--enable_mkldnn", action="store_true")
    parser.add_argument("--engine", choices=["openvino", "paddle"])
    args = parser.parse_args()
    loaded = module(use_gpu=args.use_gpu, enable_mkldnn=args.enable_mkldnn, engine=args.engine)
    images = []
    for path in args.images:
        image = cv2.imread(str(path))
        if image is None:
            sys.exit(f"{path} is no image OpenCV can read, or does not exist")
        images.append(image)
    print(json.dumps(runtime.run(loaded.predict, images), ensure_ascii=False, indent=1))
