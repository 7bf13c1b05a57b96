"""Entry point of the image.

``serve`` (default)  the service, as PPOCR_SERVER says: gunicorn or hub
``check``            checks configuration, modules and models, prints what would be served
``healthcheck``      see ppocr_serving.healthcheck
anything else        is run as a command, for example ``hub list``
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

from . import healthcheck, hubhome
from .checks import StartError, preflight
from .supervisor import Supervisor, max_failures

log = logging.getLogger(__package__)


def _hub_command() -> list[str]:
    """``hub serving start`` with a config.json PaddleHub can read (no comments, rules applied)."""
    config = hubhome.hub_home().with_name("config.json")
    config.write_text(json.dumps(preflight().data, indent=1))
    return ["hub", "serving", "start", "-c", str(config)]


def _run_server() -> None:
    serving = preflight()
    for note in serving.notes:
        log.warning("%s", note)
    server = os.environ.get("PPOCR_SERVER", "gunicorn")
    if server == "hub":
        command = _hub_command()
        os.execvp(command[0], command)  # noqa: S606 - no shell wanted
    if server != "gunicorn":
        raise StartError(f"PPOCR_SERVER={server}: use gunicorn or hub (hubserving_server)")
    from .server.gunicorn import serve
    from .server.settings import Settings, SettingsError

    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        raise StartError(str(error)) from error
    serve(serving, settings)


def main(arguments: list[str]) -> int:
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # By name: importing paddle sets the root logger back to WARNING.
    log.setLevel(logging.INFO)
    hubhome.prepare()
    command = arguments[0] if arguments else "serve"
    try:
        if command == "serve":
            return Supervisor([sys.executable, "-m", "ppocr_serving", "run"], max_failures()).run()
        if command == "run":
            _run_server()
            return 0
        if command == "check":
            print(json.dumps(preflight().data, indent=1))
            return 0
        if command == "healthcheck":
            return healthcheck.main()
    except StartError as error:
        log.error("%s", error)
        return 2
    os.execvp(command, arguments)  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    sys.exit(main(sys.argv[1:]))
