"""Checks that are possible before a model is loaded."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ppocr_contract import config, models, paddle, params

from . import cuda, hubhome
from .gpu import require_visible_device
from .missing_packages import has_paddle

log = logging.getLogger(__name__)

CONFIG_FILE = Path("/etc/ppocr/config.json")


class StartError(Exception):
    """The service cannot start as it is configured."""


def config_file() -> Path:
    return Path(os.environ.get("PPOCR_CONFIG", CONFIG_FILE))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise StartError(message)


def preflight() -> config.ServingConfig:
    """Check config.json, parameters, modules and models.

    Raises:
        StartError: with one sentence that names what is wrong.
    """
    try:
        serving = config.load(config_file())
        if params.operator_params().get("text_correction"):
            _require(
                config.TEXT_MODULE in serving.modules,
                f"hubserving_params: text_correction needs the module {config.TEXT_MODULE}: add "
                "it to hubserving_modules, or leave the parameter out",
            )
        models.verify_manifest()
        if serving.uses_gpu:
            require_visible_device()
            for card in cuda.probe(serving):
                log.info(
                    "card: %s, %s, %d MB, compute capability %s",
                    card.name,
                    card.uuid,
                    card.memory,
                    card.capability,
                )
    except (ValueError, models.ModelError, RuntimeError) as error:
        raise StartError(str(error)) from error
    installed = hubhome.installed_modules()
    for name, info in serving.modules.items():
        # PaddleHub would look for it on its public server.
        if name not in installed and "directory" not in info["init_args"]:
            raise StartError(
                f"module {name} is not in the image (installed: {', '.join(installed)}): correct "
                "hubserving_modules, or add its folder to ppocr_image_extra_modules"
            )
    require_paddle(hubhome.why_paddle(serving.modules))
    return serving


def require_paddle(why: str) -> None:
    """Refuse to start without Paddle where it is needed; ``why`` is empty where it is not.

    Raises:
        StartError: with one sentence.
    """
    if why and not has_paddle():
        raise StartError(f"{why}, and this image has no Paddle: {paddle.REMEDY}")
