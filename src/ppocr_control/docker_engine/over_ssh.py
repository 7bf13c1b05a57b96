"""An engine at ssh://, reached through the ssh command as by the docker command.

Each connection of the client runs ``ssh HOST docker system dial-stdio``, with the user's SSH
configuration, keys and agent. The client connects to a socket on this machine.
"""

from __future__ import annotations

import atexit
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

_CONNECT_SECONDS = 30


def command(url: str) -> list[str]:
    """Return the command for one connection to ssh://[user@]host[:port][/path/of/the/socket].

    Raises:
        ValueError: the host is missing, or ssh would take it for an option.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.netloc.startswith("-") or parts.hostname.startswith("-"):
        raise ValueError(f"{url} names no host")
    ssh = ["ssh", "-T", "-o", f"ConnectTimeout={_CONNECT_SECONDS}"]
    ssh += ["-l", parts.username] if parts.username else []
    ssh += ["-p", str(parts.port)] if parts.port else []
    remote_socket = ["--host", f"unix://{parts.path}"] if parts.path.strip("/") else []
    # Not parts.hostname, which is lower case: an alias in the SSH configuration may have capitals.
    host = parts.netloc.rpartition("@")[2]
    host = host.rpartition(":")[0] if parts.port else host
    return [*ssh, "--", host.strip("[]"), "docker", *remote_socket, "system", "dial-stdio"]


class Tunnel:
    """A socket on this machine that forwards to the engine until the program ends.

    Attributes:
        path: of the socket.
    """

    def __init__(self, url: str) -> None:
        self._command = command(url)
        self._folder = Path(tempfile.mkdtemp(prefix="ppocr-docker."))
        self._errors = (self._folder / "errors").open("w+")
        self.path = self._folder / "docker.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._running: list[subprocess.Popen[bytes]] = []
        atexit.register(self.close)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            with connection:
                self._running = [process for process in self._running if process.poll() is None]
                self._running.append(
                    subprocess.Popen(
                        self._command,
                        stdin=connection.fileno(),
                        stdout=connection.fileno(),
                        stderr=self._errors,
                    )
                )

    def last_message(self) -> str:
        """Return the last line that ssh, or the command on the host, wrote to standard error."""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Close the connections and remove the socket."""
        self._listener.close()
        for process in self._running:
            if process.poll() is None:
                process.terminate()
        self._errors.close()
        shutil.rmtree(self._folder, ignore_errors=True)
