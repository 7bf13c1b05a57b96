"""PaddleHub Serving's app, made in a worker after the fork."""

from __future__ import annotations

import logging

from flask import Flask
from werkzeug.exceptions import HTTPException

from ..config import ServingConfig
from ..hubmodule import OcrModule
from .signals import take_back

log = logging.getLogger(__name__)


def _as_contract(error: HTTPException) -> tuple[dict[str, str], int]:
    """What Flask would answer with an HTML page, in the contract's shape."""
    status = "112" if error.code == 415 else "101"
    return {
        "status": status,
        "msg": error.description or error.name,
        "results": "",
    }, error.code or 500


def create(serving: ServingConfig) -> tuple[Flask, list[OcrModule]]:
    """Load the configured modules and make PaddleHub's app around them.

    Returns the app and those of its modules that are ours.
    """
    # Takes seconds: paddle and paddlehub are imported in the worker, not in the master.
    from paddlehub.commands.serving import ServingCommand
    from paddlehub.serving import app_compat

    take_back()
    command = ServingCommand()
    command.modules_info = serving.modules
    command.preinstall_modules()
    app = app_compat.create_app(init_flag=False, configs=command.modules_info)
    app.register_error_handler(HTTPException, _as_contract)
    loaded = [info["module"] for info in command.modules_info.values()]
    return app, [module for module in loaded if isinstance(module, OcrModule)]
