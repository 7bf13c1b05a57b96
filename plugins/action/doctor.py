"""Action plugin: examine what all hosts printed, and write the archive on the control node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.release import __version__

from ppocr_control.doctor import report
from ppocr_control.instances import instances

#: Settings whose values are secrets, whatever the text looks like that they stand in.
_SECRETS = ("hubserving_tokens", "smoke_test_token", "ansible_become_password", "ansible_password")


class ActionModule(ActionBase):
    """``doctor``: folder."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return ``summary``, a line for each check, the last one naming the archive."""
        variables = task_vars or {}
        result = {**super().run(tmp, variables), "changed": False}
        names, hostvars = variables["ansible_play_hosts_all"], variables["hostvars"]
        secrets = [each for name in names for each in _secrets(hostvars[name])]
        hosts = [_examined(name, hostvars[name], secrets) for name in names]
        try:
            path = report.write(
                Path(self._task.args["folder"]), hosts, {"ansible-core": __version__}
            )
        except OSError as error:
            raise AnsibleActionFail(
                f"The archive cannot be written ({error}): correct doctor_report_dir"
            ) from None
        return {**result, "summary": [*report.summary(hosts), f"Archive: {path}"]}


def _secrets(variables: Any) -> list[str]:
    found: list[str] = []
    for name in _SECRETS:
        try:
            value = variables.get(name) or []
        except AnsibleError:  # a vault that no password was given for
            continue
        found += [str(each) for each in (value if isinstance(value, list) else [value])]
    return found


def _examined(name: str, variables: Any, secrets: list[str]) -> report.Examined:
    collected = variables.get("__doctor_collected") or {}
    printed = str(collected.get("stdout", ""))
    if "== system" not in printed:
        why = collected.get("stderr") or collected.get("msg") or collected.get("module_stderr")
        return report.lost(name, str(why or ""), secrets)
    return report.host(name, printed, [each.port for each in instances(variables)], secrets)
