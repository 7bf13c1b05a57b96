"""Fetches layers from a relay for some seconds, resuming each where it ended. See ../relay.py.

Prints a JSON object: the bytes present now, the error ("" for none), and whether the relay refused,
which waiting does not change.
"""

import http.client
import json
import os
import time
from pathlib import Path
from typing import Any, BinaryIO

# Timeout in seconds for each response and each block.
_TIMEOUT = 10
_BLOCK = 1 << 18


class Refusal(Exception):
    """The relay answered and refused to send the layer."""


def fetch(path: Path, size: int, end: float, settings: "dict[str, Any]") -> None:
    """Download missing bytes of a file. Raises OSError, HTTPException, Refusal."""
    path.touch(0o600)
    with path.open("r+b") as file:
        have = file.seek(0, os.SEEK_END)
        if have > size:
            have = file.seek(file.truncate(0))
        if have == size:
            return
        connection = http.client.HTTPConnection(
            settings["address"], settings["port"], timeout=_TIMEOUT
        )
        headers = {
            "Authorization": f"Bearer {settings['token']}",
            "Range": f"bytes={have}-",
        }
        try:
            connection.request("GET", f"/{path.name}", headers=headers)
            answer = connection.getresponse()
            if answer.status != 206:
                raise Refusal(f"it answers with status {answer.status}")
            copy(answer, file, size - have, end)
        finally:
            connection.close()


def copy(answer: http.client.HTTPResponse, file: BinaryIO, left: int, end: float) -> None:
    """Write the response to a file, at most ``left`` bytes, until ``end``."""
    while left and time.monotonic() < end:
        block = answer.read1(min(_BLOCK, left))
        if not block:
            return
        file.write(block)
        left -= len(block)


def main(settings: "dict[str, Any]") -> None:
    """Fetch.

    Args:
        settings: address, port, token, folder to write to, blobs ([name, size in bytes]), seconds.
    """
    end = time.monotonic() + settings["seconds"]
    blobs = [(Path(settings["folder"]) / name, size) for name, size in settings["blobs"]]
    error, refused = "", False
    try:
        for path, size in blobs:
            if time.monotonic() < end:
                fetch(path, size, end, settings)
    except (OSError, Refusal, http.client.HTTPException) as problem:
        refused = isinstance(problem, (Refusal, ConnectionRefusedError))
        error = str(problem) or type(problem).__name__
    have = sum(min(path.stat().st_size, size) for path, size in blobs if path.exists())
    print(json.dumps({"have": have, "error": error, "refused": refused}))
