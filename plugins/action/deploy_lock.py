"""Action plugin: only one run at a time changes a host.

The lock is a file on the host that names its holder. It is created atomically (by a hard link): of
two simultaneous runs one gets it and the other reads whose it is.
"""

from __future__ import annotations

import getpass
import json
import os
import shlex
import socket
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# Prints "taken", or "held" and the holder's record.
_TAKE = r"""
path=@PATH@ new=@PATH@.$$
umask 022
printf '%s\n' @RECORD@ >"$new" || exit 3
for try in 1 2 3; do
  if ln "$new" "$path" 2>/dev/null; then rm -f "$new"; echo taken; exit 0; fi
  if holder=$(cat "$path" 2>/dev/null); then rm -f "$new"; printf 'held %s\n' "$holder"; exit 0; fi
done
rm -f "$new"; echo "cannot create $path" >&2; exit 3
"""
# Removes the lock only if it is unchanged; a new lock of another run is put back.
_BREAK = r"""
path=@PATH@ old=@PATH@.$$.old
mv "$path" "$old" 2>/dev/null || exit 0
[ "$(cat "$old")" = @RECORD@ ] || ln "$old" "$path" 2>/dev/null
rm -f "$old"
"""
_RELEASE = r"""
if grep -qsF -- @PROCESS@ @PATH@; then rm -f @PATH@; fi
"""


def _machine() -> str:
    """Identify this machine since its last boot, and its PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    """Return when a process started, in the kernel's ticks, because PIDs are reused."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def process(pid: int) -> str:
    """Return a name of a process that is unique among all machines."""
    return f"{_machine()} {pid} {_started(pid)}"


def is_alive(name: str) -> bool | None:
    """Return whether a process runs; None if it is on another machine."""
    machine, pid, started = name.rsplit(" ", 2)
    if machine != _machine():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, but of another user
    return _started(int(pid)) == started


def record(what: str) -> dict[str, Any]:
    """Return the lock's content, which identifies the run this worker belongs to."""
    pid = os.getppid()  # tasks run in workers, whose parent is the run
    return {
        "what": what,
        "who": f"{getpass.getuser()}@{socket.gethostname()}",
        "pid": pid,
        "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "process": process(pid),
    }


def locked_message(holder: dict[str, Any], alive: bool | None, breaking: bool) -> str:
    """Return whose lock it is, and the remedy."""
    text = (
        f"This host is locked by {holder['who']}, process {holder['pid']} ({holder['what']}), "
        f"since {holder['since']}; nothing was changed. "
    )
    if alive:
        text += "That process is running: wait until it has ended."
        return text + (" deploy_lock_break does not break its lock." if breaking else "")
    remedy = "run again with -e deploy_lock_break=true."
    if alive is None:
        return f"{text}Whether it still runs cannot be checked from here: if it does not, {remedy}"
    return f"{text}That process is gone and its lock is stale: {remedy}"


class ActionModule(ActionBase):
    """``deploy_lock``: step (take or release), path, break."""

    TRANSFERS_FILES = False
    _supports_check_mode = False  # check mode changes nothing and needs no lock

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Take or release the lock; fails with the holder's name if another run has it."""
        variables = task_vars or {}
        result = {**super().run(tmp, variables), "changed": False}
        current = record(str(variables.get("ansible_play_name") or "a playbook"))
        if self._task.args["step"] == "release":
            self._call(_RELEASE, PROCESS=current["process"])
            return result
        breaking = bool(self._task.args.get("break"))
        holder = self._take(current)
        if holder and breaking and not is_alive(holder["process"]):
            self._call(_BREAK, RECORD=json.dumps(holder))
            result["broken"] = holder
            holder = self._take(current)
        if holder:
            text = locked_message(holder, is_alive(holder["process"]), breaking)
            result.update(failed=True, msg=text, holder=holder)
        return result

    def _take(self, current: dict[str, Any]) -> dict[str, Any] | None:
        """Take the lock; return the holder if another run has it."""
        answer = self._call(_TAKE, RECORD=json.dumps(current))
        line = (answer["stdout"].strip().splitlines() or [""])[-1]
        if line == "taken":
            return None
        path = self._task.args["path"]
        if not line.startswith("held "):
            why = answer["stderr"].strip() or line or "no answer"
            raise AnsibleActionFail(
                f"The lock {path} cannot be taken ({why}). Set deploy_lock_path"
            )
        try:
            holder: dict[str, Any] = json.loads(line.removeprefix("held "))
        except ValueError:
            raise AnsibleActionFail(f"{path} exists and is not a lock: remove it") from None
        return None if holder["process"] == current["process"] else holder

    def _call(self, script: str, **values: str) -> dict[str, Any]:
        for name, value in {"PATH": str(self._task.args["path"]), **values}.items():
            script = script.replace(f"@{name}@", shlex.quote(value))
        answer: dict[str, Any] = self._low_level_execute_command(script)
        return answer
