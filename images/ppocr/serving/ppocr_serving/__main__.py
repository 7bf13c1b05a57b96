"""Entry point of the image.

``serve`` (default)  the service, as PPOCR_SERVER says: gunicorn or hub
``check``            checks configuration, modules and models, prints what would be served
``healthcheck``      see ppocr_serving.healthcheck
anything else        is run as a command, for example ``hub list``
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import socket
import sys
from pathlib import Path

from ppocr_contract import models, resources
from ppocr_contract.config import ServingConfig, load
from ppocr_contract.settings import Settings, SettingsError

from . import hubhome, listening, logs, processes
from .checks import StartError, config_file, preflight, require_paddle
from .server.not_ready import NotReady
from .supervisor import Supervisor, max_failures

log = logging.getLogger(__package__)

#: PaddleHub's command, without its log file.
_HUB = [sys.executable, "-m", "ppocr_serving.hublog"]


def _hub_command(serving: ServingConfig) -> list[str]:
    """``hub serving start`` with a config.json PaddleHub can read (no comments, rules applied)."""
    config = hubhome.hub_home().with_name("config.json")
    hubhome.keep(config, json.dumps(serving.data, indent=1))
    return [*_HUB, "serving", "start", "-c", str(config)]


def _open_sockets() -> list[socket.socket]:
    """The front's listening sockets; none for server hub, or with invalid settings, which the
    front itself reports."""
    try:
        if Settings.from_environment().server != "gunicorn":
            return []
        return listening.open_sockets(load(config_file()).port)
    except (OSError, ValueError):
        return []


def _serve() -> int:
    command = [sys.executable, "-m", "ppocr_serving", "run"]
    return Supervisor(command, max_failures(), _open_sockets).run()


def _run_server() -> int:
    serving = preflight()
    for note in serving.notes:
        log.warning("%s", note)
    try:
        settings = Settings.from_environment()
        settings.check_access()
        if settings.server == "hub":
            require_paddle("hubserving_server is hub")
            from .server import loading

            loading.prove(serving)
            command = _hub_command(serving)
            os.execvp(command[0], command)  # noqa: S606 - no shell wanted
        # Not loaded for plain hub serving, which does not need it.
        from .server.front import serve
        from .server.worker_slots import cards_of_slots

        slots = cards_of_slots(serving, settings)
        if any(slots) and settings.workers > 1:
            log.warning(
                "PPOCR_WORKERS=%d counts on a CPU only: on GPUs PPOCR_WORKERS_PER_GPU does "
                "(hubserving_workers_per_gpu)",
                settings.workers,
            )
        _say_memory(settings, len(slots), any(slots), serving)
        return serve(serving, dataclasses.replace(settings, workers=len(slots)))
    except SettingsError as error:
        raise StartError(str(error)) from error


def _say_memory(settings: Settings, workers: int, on_gpu: bool, serving: ServingConfig) -> None:
    """Warn if the available memory is less than the settings may need."""
    limit = resources.available()
    beside = resources.loaded_beside(len(models.recognizers()), serving.modules)
    named = "the memory of this container"
    for said in (
        resources.contradiction(settings, on_gpu, beside),
        *resources.shortage(settings, workers, on_gpu, limit, named, beside),
    ):
        if said:
            log.warning("%s", said)


def _run_workers() -> None:
    from .server.gunicorn import serve

    serve(load(config_file()), Settings.from_environment())


def main(arguments: list[str]) -> int:
    logs.set_up()
    processes.end_with_starter()
    hubhome.prepare()
    command = arguments[0] if arguments else "serve"
    try:
        if command == "serve":
            return _serve()
        if command == "run":
            return _run_server()
        if command == "workers":
            _run_workers()
            return 0
        if command == "check":
            print(json.dumps(preflight().data, indent=1))
            return 0
        if command == "healthcheck":
            from . import healthcheck

            return healthcheck.main()
        if arguments[:2] == ["hub", "serving"]:
            require_paddle("hub serving needs Paddle")
    except StartError as error:
        log.error("%s", error)
        NotReady().write(str(error))
        return 2
    if command == "hub":
        arguments = [*_HUB, *arguments[1:]]
    os.execvp(arguments[0], arguments)  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    sys.exit(main(sys.argv[1:]))
