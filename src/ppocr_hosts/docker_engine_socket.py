"""Access to a Docker engine on a host: its socket, process and service.

Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket as socketlib
from pathlib import Path

SOCKET = "/var/run/docker.sock"
_BIN_DIRS = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin")


def engine_get(path, url, timeout=15):
    """Return the engine's parsed answer to GET url over the socket at path.

    Raises OSError or ValueError if no engine answers there, or one with another API.
    """
    connection = http.client.HTTPConnection("localhost", timeout=timeout)
    connection.sock = socketlib.socket(socketlib.AF_UNIX, socketlib.SOCK_STREAM)
    connection.sock.settimeout(timeout)
    try:
        connection.sock.connect(path)
        connection.request("GET", url)
        answer = connection.getresponse()
        body = answer.read().decode("utf-8")
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer on {path}: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"GET {url} answered {answer.status}: {body[:200]}")
    return json.loads(body)


def find_binary(name):
    """Return the full path of an executable in the system's folders, or ''."""
    for folder in _BIN_DIRS:
        path = Path(folder, name)
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    return ""


def dockerd_processes():
    """Return [(pid, argv)] of the dockerd processes of this PID namespace."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if Path(argv[0]).name == "dockerd":
            found.append((int(folder.name), [part for part in argv if part]))
    return sorted(found)


def process_path(pid, proc="/proc"):
    """Return the PATH of process pid, or the system's folders if it has none."""
    try:
        environ = Path(proc, str(pid), "environ").read_bytes().decode("utf-8", "replace")
    except OSError:
        environ = ""
    for setting in environ.split("\0"):
        if setting.startswith("PATH="):
            return setting[len("PATH=") :]
    return ":".join(_BIN_DIRS)


def process_start(pid, proc="/proc"):
    """Return when process pid started, in seconds since the epoch; 0 if unknown."""
    try:
        # The process name, in brackets, may contain blanks.
        ticks = int(Path(proc, str(pid), "stat").read_text().rpartition(")")[2].split()[19])
        boot = re.search(r"^btime (\d+)", Path(proc, "stat").read_text(), re.MULTILINE)
    except (OSError, IndexError, ValueError):
        return 0
    return int(boot[1]) + ticks / os.sysconf("SC_CLK_TCK") if boot else 0


def service_kind(name="docker"):
    """Return 'systemd', 'init' or '': how this host starts the service."""
    if Path("/run/systemd/system").is_dir():
        units = ("/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system")
        for folder in (*units, "/run/systemd/system", "/usr/local/lib/systemd/system"):
            if Path(folder, f"{name}.service").exists():
                return "systemd"
    return "init" if Path("/etc/init.d", name).exists() else ""
