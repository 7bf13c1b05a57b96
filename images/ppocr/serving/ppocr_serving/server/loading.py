"""Loads PaddleHub's app, and runs its modules once.

``python -m ppocr_serving.server.loading`` does it for nothing but the proof, before plain
``hub serving`` starts: that loads models with the first request, and answers errors with HTTP 200.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from ppocr_contract.config import OUR_MODULES, ServingConfig, load
from ppocr_contract.models import ModelError

from .. import hubhome, hublog, logs, precision
from ..checks import StartError, config_file
from ..engines import EngineError
from .signals import restore_default_handlers
from .without_paddle import stub_paddle

if TYPE_CHECKING:
    from flask import Flask

    from ..served_module import ServedModule

log = logging.getLogger(__name__)


def load_app(serving: ServingConfig) -> tuple[Flask, list[ServedModule]]:
    """PaddleHub's app, and those of its modules that are ours, each of which has read a page.

    Raises:
        EngineError, ModelError: a model cannot be served.
    """
    if hubhome.why_paddle(serving.modules):
        restore_default_handlers()
    else:
        stub_paddle()
    hublog.take_over()
    from ..hubmodule import OcrModule
    from .app import create

    app, modules = create(serving)
    for module in modules:
        module.warm_up()
    readers = [module for module in modules if isinstance(module, OcrModule)]
    on_openvino = [each for each in readers if each.options.engine == "openvino"]
    for said in {
        precision.described(each.limits.precision, each.options.precision) for each in on_openvino
    }:
        log.info("precision: %s", said)
    return app, modules


def _of_ours(serving: ServingConfig) -> ServingConfig:
    """The same with this project's modules only; loading others may have side effects."""
    ours: dict[str, Any] = {
        name: info for name, info in serving.modules.items() if name in OUR_MODULES
    }
    return ServingConfig({**serving.data, "modules_info": ours}, ())


def prove(serving: ServingConfig) -> None:
    """Load our modules in a process of its own, which leaves nothing behind.

    Raises:
        StartError: one cannot be served, in one sentence.
    """
    if not _of_ours(serving).modules:
        return
    done = subprocess.run(
        [sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        said = done.stdout.strip().rpartition("\n")[2]
        raise StartError(said or f"the models cannot be loaded (status {done.returncode})")


def main() -> int:
    """Print what is wrong, if anything is; the rest goes to the log."""
    logs.set_up()
    try:
        load_app(_of_ours(load(config_file())))
    except (EngineError, ModelError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
