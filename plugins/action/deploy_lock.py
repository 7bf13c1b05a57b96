"""Action plugin: one run at a time changes a host.

The lock is a file on the host that names its holder. It appears whole or not at all (a hard link),
so of two runs that come at the same moment one gets it and the other reads who did.
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
path=@PATH@ own=@PATH@.$$
umask 022
printf '%s\n' @RECORD@ >"$own" || exit 3
for try in 1 2 3; do
  if ln "$own" "$path" 2>/dev/null; then rm -f "$own"; echo taken; exit 0; fi
  if there=$(cat "$path" 2>/dev/null); then rm -f "$own"; printf 'held %s\n' "$there"; exit 0; fi
done
rm -f "$own"; echo "cannot make $path" >&2; exit 3
"""
# Removes the lock only if it is unchanged; one that another run took since is restored.
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
    """This machine since it was started, and its numbering of processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks: numbers are used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def process(pid: int) -> str:
    """What tells a process of some machine from all others."""
    return f"{_machine()} {pid} {_started(pid)}"


def is_alive(name: str) -> bool | None:
    """Whether a process runs; None when it is on another machine."""
    machine, pid, started = name.rsplit(" ", 2)
    if machine != _machine():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's, and alive
    return _started(int(pid)) == started


def record(what: str) -> dict[str, Any]:
    """Who holds the lock: the run this worker belongs to."""
    pid = os.getppid()  # tasks run in workers; the run is their parent
    return {
        "what": what,
        "who": f"{getpass.getuser()}@{socket.gethostname()}",
        "pid": pid,
        "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "process": process(pid),
    }


def words(holder: dict[str, Any], alive: bool | None, breaking: bool) -> str:
    """One sentence on whose lock it is, and the remedy."""
    text = (
        f"This host is locked by {holder['who']}, process {holder['pid']} ({holder['what']}), "
        f"since {holder['since']}; nothing was changed. "
    )
    if alive:
        text += "That process is running: wait until it has ended."
        return text + (" deploy_lock_break does not break its lock." if breaking else "")
    remedy = "run again with -e deploy_lock_break=true."
    if alive is None:
        return f"{text}Whether it still runs is unknown here: if it does not, {remedy}"
    return f"{text}That process is gone and its lock is stale: {remedy}"


class ActionModule(ActionBase):
    """``deploy_lock``: step (take or release), path, break."""

    TRANSFERS_FILES = False
    _supports_check_mode = False  # skipped there: what changes nothing needs no lock

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Take or release the lock; failed, naming the holder, where another run has it."""
        variables = task_vars or {}
        result = {**super().run(tmp, variables), "changed": False}
        mine = record(str(variables.get("ansible_play_name") or "a playbook"))
        if self._task.args["step"] == "release":
            self._call(_RELEASE, PROCESS=mine["process"])
            return result
        breaking = bool(self._task.args.get("break"))
        holder = self._take(mine)
        if holder and breaking and not is_alive(holder["process"]):
            self._call(_BREAK, RECORD=json.dumps(holder))
            result["broken"] = holder
            holder = self._take(mine)
        if holder:
            text = words(holder, is_alive(holder["process"]), breaking)
            result.update(failed=True, msg=text, holder=holder)
        return result

    def _take(self, mine: dict[str, Any]) -> dict[str, Any] | None:
        """Whose lock is in the way, or None once we have it."""
        answer = self._call(_TAKE, RECORD=json.dumps(mine))
        said = answer["stdout"].strip().splitlines()[-1:] or [""]
        if said[0] == "taken":
            return None
        path = self._task.args["path"]
        if not said[0].startswith("held "):
            why = answer["stderr"].strip() or said[0] or "no answer"
            raise AnsibleActionFail(
                f"The lock {path} cannot be taken ({why}). Set deploy_lock_path"
            )
        try:
            holder: dict[str, Any] = json.loads(said[0].removeprefix("held "))
        except ValueError:
            raise AnsibleActionFail(f"{path} is there and is no lock: remove it") from None
        return None if holder["process"] == mine["process"] else holder

    def _call(self, script: str, **values: str) -> dict[str, Any]:
        for name, value in {"PATH": str(self._task.args["path"]), **values}.items():
            script = script.replace(f"@{name}@", shlex.quote(value))
        answer: dict[str, Any] = self._low_level_execute_command(script)
        return answer
