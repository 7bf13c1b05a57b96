"""Logs of the service's containers on several hosts, line by line and in the order of time."""

from __future__ import annotations

import contextlib
import queue
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .errors import Error

#: Seconds that lines of other hosts may come late while logs are followed.
_WINDOW = 0.5
#: The containers of roles hubserving and edge, with the names these give; others may have their
#: labels from an image.
_SCRIPT = """\
names=$(docker ps --all \
--format '{{.Names}} {{.Label "org.ppocr.instance"}}{{.Label "org.ppocr.edge"}}') || exit 1
printf '%s\\n' "$names" | {
  while read -r name instance; do
    case $name in
    "") ;;
    "$instance" | "$instance-candidate" | "$instance-previous" | "$instance"_service.* | \\
    "$instance-edge" | "$instance-edge-previous")
      docker logs --timestamps --tail LINES FOLLOW "$name" 2>&1 </dev/null | sed -u "s/^/$name /" &
    esac
  done
  wait
}
"""
#: A silent container would keep docker logs waiting after the connection has ended.
_WATCH = "exec 3<&0\n{ cat <&3 >/dev/null; kill 0; } >/dev/null 2>&1 &\n"
_LINE = re.compile(r"(\S+) (\d{4}-\d\d-\d\dT[\d:.]+Z) ?(.*)", re.DOTALL)


class Line(NamedTuple):
    """One line of a container's log; ``when`` is in UTC, as the engine writes it."""

    when: str
    host: str
    container: str
    text: str


#: Starts a shell script on a host.
Start = Callable[[str], subprocess.Popen[bytes]]


def script(lines: int, follow: bool) -> str:
    """Return the script that prints ``CONTAINER TIME LINE``, for each container's last lines."""
    text = _SCRIPT.replace("LINES", str(lines)).replace("FOLLOW", "--follow" if follow else "")
    return f"{_WATCH if follow else ''}{text}"


class Logs:
    """The logs of hosts. Iterate over it once; ``errors`` says then which hosts gave none.

    Args:
        hosts: by name, what starts a script there.
        lines: last lines of each container.
        follow: go on with the lines that are written from now on.
    """

    def __init__(self, hosts: dict[str, Start], lines: int, follow: bool = False) -> None:
        self.errors: dict[str, Error] = {}
        self._hosts, self._follow = hosts, follow
        self._script = script(lines, follow)
        self._arrived: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Logs:
        for name in self._hosts:
            threading.Thread(target=self._read, args=(name,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            if process.poll() is None:
                process.terminate()

    def __iter__(self) -> Iterator[Line]:
        """Yield lines in the order of time; while following, of those that came at once."""
        left, due = len(self._hosts), 0.0
        pending: list[Line] = []
        while left:
            wait = max(due - time.monotonic(), 0) if self._follow and pending else None
            try:
                line = self._arrived.get(timeout=wait)
            except queue.Empty:
                yield from sorted(pending)
                pending = []
                continue
            if line is None:
                left -= 1
                continue
            due = due if pending else time.monotonic() + _WINDOW
            pending.append(line)
        yield from sorted(pending)

    def _read(self, host: str) -> None:
        try:
            self._read_from(host, self._hosts[host](self._script))
        except Error as error:
            self.errors[host] = error
        finally:
            self._arrived.put(None)

    def _read_from(self, host: str, process: subprocess.Popen[bytes]) -> None:
        self._running.append(process)
        assert process.stdout and process.stderr
        with contextlib.ExitStack() as streams:
            streams.enter_context(process.stderr)
            count = 0
            for raw in streams.enter_context(process.stdout):
                if found := _LINE.fullmatch(raw.decode(errors="replace").rstrip("\r\n")):
                    count += 1
                    self._arrived.put(Line(found[2], host, found[1], found[3]))
            said = " ".join(process.stderr.read().decode(errors="replace").split())
        if process.wait() and not count:
            raise Error(f"{host}: the logs cannot be read: {said or 'no message'}")
        if not count:
            raise Error(f"{host}: no container of the service has logged anything: deploy first")
