"""The one door to this machine's Docker engine: its command line.

The API's Python client cannot ask for unmasked system paths, which a nested engine needs.
"""

from __future__ import annotations

import json
import subprocess
from typing import IO, Any

LABEL = "ppocr.lab"


class LabError(RuntimeError):
    """Something about the lab is wrong; the message says what, and what to do."""


def docker(
    *args: str,
    stdin: bytes | IO[bytes] | None = None,
    check: bool = True,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run ``docker ARGS`` (timeout in seconds).

    Raises LabError when it fails and ``check`` is set, or when the timeout is over.
    """
    source: dict[str, Any] = {"stdin": stdin or subprocess.DEVNULL}
    if isinstance(stdin, bytes):
        source = {"input": stdin}
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            ["docker", *args], capture_output=True, timeout=timeout, **source
        )
    except FileNotFoundError:
        raise LabError("no docker command on this machine: run scripts/deploy first") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"docker {args[0]} did not end within {timeout:g} s: {args}") from None
    result = subprocess.CompletedProcess(
        args=["docker", *args],
        returncode=done.returncode,
        stdout=done.stdout.decode(errors="replace"),
        stderr=done.stderr.decode(errors="replace"),
    )
    if check and result.returncode:
        raise LabError(
            f"docker {' '.join(args)[:300]}: exit {result.returncode}\n"
            f"{result.stdout[-2000:]}{result.stderr[-4000:]}"
        )
    return result


def require_engine() -> None:
    """Raise LabError, with the remedy, unless this machine's engine answers."""
    answer = docker("version", "--format", "{{.Server.Version}}", check=False, timeout=30)
    if answer.returncode:
        raise LabError(
            "the lab needs a running Docker engine on this machine, and none answers:\n"
            f"  {answer.stderr.strip()}\n"
            "scripts/deploy installs and starts one; if one is installed, try: service docker start"
        )


def containers(*labels: str, running: bool = False) -> list[dict[str, Any]]:
    """What ``docker inspect`` says of every container that carries all the labels."""
    filters = [part for label in labels for part in ("--filter", f"label={label}")]
    ids = docker("ps", "-q", *([] if running else ["--all"]), *filters).stdout.split()
    if not ids:
        return []
    # One that goes away between the two calls makes inspect fail; the others are still printed.
    return json.loads(docker("inspect", *ids, check=False).stdout or "[]")
