"""The history of changes: a JSON line for each host of a run, there and on the control node."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import getpass
import hashlib
import json
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import ROOT, git, version

#: A message is kept this long; the whole of it is in the output of the run.
_MESSAGE = 500


def now() -> str:
    """The time in UTC, as ISO 8601 has it, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def begin(verb: str) -> dict[str, str]:
    """What all lines of a run share: its ID, the verb, who runs it, and the project's revision."""
    revision = git.output("describe", "--always", "--dirty", "--tags").decode().strip()
    return {
        "run": f"{now()}-{os.urandom(4).hex()}",
        "verb": verb,
        "who": f"{getpass.getuser()}@{socket.gethostname()}",
        "revision": revision or version.current(ROOT),
    }


def line(record: Mapping[str, Any]) -> str:
    """A record as one line; a long message is cut."""
    message = " ".join(str(record.get("message", "")).split())
    cut = message if len(message) <= _MESSAGE else message[: _MESSAGE - 3] + "..."
    return json.dumps({**record, "message": cut}, ensure_ascii=False)


def parse(text: str) -> list[dict[str, Any]]:
    """The records of a history; a line cut off by a full disk or a power cut is left out."""
    found = []
    for each in text.splitlines():
        with contextlib.suppress(ValueError):
            record = json.loads(each)
            if isinstance(record, dict) and "when" in record:
                found.append(record)
    return found


def append(path: Path, records: Iterable[Mapping[str, Any]], keep: int) -> None:
    """Append records to a history of this machine and keep its newest lines. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    # The last line may be cut off, in the middle of a character, too.
    with os.fdopen(opened, "r+", encoding="utf-8", errors="surrogateescape") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        end = "" if file.read()[-1:] in ("", "\n") else "\n"
        file.write(end + "".join(f"{line(record)}\n" for record in records))
        file.seek(0)
        lines = file.readlines()
        if len(lines) > keep:
            file.truncate(0)
            file.writelines(lines[-keep:])


def merge(*histories: str) -> list[dict[str, Any]]:
    """The records of several histories in the order of time, each run once for a host.

    Of a run that stands in two, the later history counts: the control node's also has the message.
    """
    by_run = {
        (record.get("run"), record.get("host")): record
        for history in histories
        for record in parse(history)
    }
    return sorted(by_run.values(), key=lambda record: str(record["when"]))


def fingerprints(settings: Mapping[str, Any], salt: str) -> dict[str, str]:
    """{name: a hash of its value}, by which a later run sees what changed; not the value itself."""
    return {
        name: hashlib.sha256(
            json.dumps([salt, name, value], sort_keys=True, default=str).encode()
        ).hexdigest()[:16]
        for name, value in settings.items()
    }


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names whose fingerprint is new, other than before, or gone."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
