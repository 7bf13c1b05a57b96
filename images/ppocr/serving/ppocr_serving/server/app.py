"""PaddleHub Serving's app, made in a worker after the fork.

Takes seconds to import (PaddleHub): imported in the worker, not in the master.
"""

from __future__ import annotations

from flask import Flask, request
from paddlehub.commands.serving import ServingCommand
from paddlehub.serving import app_compat
from werkzeug.exceptions import BadRequest, HTTPException

from ppocr_contract import pdserving
from ppocr_contract.config import ServingConfig

from ..served_module import ServedModule


def _as_contract(error: HTTPException) -> tuple[dict[str, str], int]:
    """What Flask would answer with an HTML page, in the contract's shape."""
    status = "112" if error.code == 415 else "101"
    return {
        "status": status,
        "msg": error.description or error.name,
        "results": "",
    }, error.code or 500


def _check_body() -> None:
    """Refuse what PaddleHub cannot handle; Flask keeps the parsed body, so it is parsed once.

    Raises:
        BadRequest: the body is no JSON object, or would pass for an argument of Python's own.
    """
    try:
        body = request.get_json()
    except BadRequest as error:
        raise BadRequest("the body is not JSON, or is cut off") from error
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    if "self" in body:
        raise BadRequest("unknown key self")


def _predict_for_pdserving() -> dict[str, object]:
    """Answer a request of deploy/pdserving as PaddleHub answers one for the module.

    Raises:
        BadRequest: it is none.
    """
    try:
        picture = pdserving.picture(request.get_json())
    except pdserving.RequestFault as error:
        raise BadRequest(str(error)) from error
    module = app_compat.v2_module_info.get_module_info(pdserving.MODULE)
    return dict(app_compat.predict_v2(module, {"images": [picture]}))


def create(serving: ServingConfig) -> tuple[Flask, list[ServedModule]]:
    """Load the configured modules and make PaddleHub's app around them.

    Returns the app and those of its modules that are ours.
    """
    command = ServingCommand()
    command.modules_info = serving.modules
    command.preinstall_modules()
    app = app_compat.create_app(init_flag=False, configs=command.modules_info)
    app.before_request(_check_body)
    app.register_error_handler(HTTPException, _as_contract)
    app.add_url_rule(pdserving.PATH, view_func=_predict_for_pdserving, methods=["POST"])
    loaded = [info["module"] for info in command.modules_info.values()]
    return app, [module for module in loaded if isinstance(module, ServedModule)]
