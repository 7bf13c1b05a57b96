"""The archive of playbooks/doctor.yml, and its summary."""

from __future__ import annotations

import io
import json
import os
import platform
import tarfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import history
from . import redact
from .checks import Row, examine, parts


@dataclass(frozen=True)
class Examined:
    """A host: the parts it printed, redacted, and the rows of its checks."""

    name: str
    rows: list[Row]
    parts: dict[str, str] = field(default_factory=dict)


def host(name: str, printed: str, ports: list[int], secrets: Iterable[str]) -> Examined:
    """Examine what a host printed."""
    found = parts(printed)
    rows = [replace(row, found=redact.redact(row.found, secrets)) for row in examine(found, ports)]
    if inspected := redact.containers(found.get("containers", "")):
        found["containers"] = json.dumps(inspected, indent=1)
    return Examined(name, rows, {key: redact.redact(text, secrets) for key, text in found.items()})


def lost(name: str, why: str, secrets: Iterable[str]) -> Examined:
    """A host without data, because it cannot be reached or does not let the user become root."""
    said = redact.redact(" ".join(why.split()), secrets)
    remedy = "log in with ssh as ansible_user, and try sudo -n true there"
    return Examined(name, [Row("access", "failed", said or "no answer", remedy)])


def summary(hosts: Iterable[Examined]) -> list[str]:
    """One row per check of every host: host, check, verdict, what was found, remedy."""
    lines = []
    for each in hosts:
        for row in each.rows:
            line = f"{each.name}  {row.check}  {row.verdict.upper()}  {row.found}"
            lines.append(f"{line}  ->  {row.remedy}" if row.remedy else line)
    return lines


def write(folder: Path, hosts: list[Examined], about: dict[str, str]) -> Path:
    """Write the archive, which only its owner can read, and return its path. Raises OSError.

    Args:
        folder: where it is put; made where it is missing.
        hosts: in the order of the summary.
        about: versions of the control node besides its own.
    """
    stem = f"doctor-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.tar.gz"
    begun = history.begin("doctor")
    control = {"when": history.now(), "revision": begun["revision"], **about}
    control |= {"python": platform.python_version(), "system": platform.platform()}
    files = {
        "summary.txt": "\n".join(summary(hosts)),
        "control.txt": "\n".join(f"{key}: {value}" for key, value in control.items()),
        **{f"{each.name}/{name}.txt": text for each in hosts for name, text in each.parts.items()},
    }
    with (
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
        tarfile.open(fileobj=file, mode="w:gz") as archive,
    ):
        for name, text in files.items():
            data = f"{text}\n".encode()
            entry = tarfile.TarInfo(f"{stem}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return path
