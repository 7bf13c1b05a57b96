"""Callback plugin: at the end of a run, the control node's history and the hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

from ppocr_control import history, hooks
from ppocr_control.errors import Error

DOCUMENTATION = """
name: ppocr_history
type: notification
short_description: Writes the control node's history, and runs the hooks post-deploy and on-failure
description: Knows a run by what the roles ppocr_history and ppocr_hooks return; others it ignores.
"""


class CallbackModule(CallbackBase):
    """Collects what each host came to."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "ppocr_history"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display: Any = None) -> None:
        super().__init__(display=display)
        self._forget()

    def _forget(self) -> None:
        self._begun: dict[str, Any] = {}
        self._hooks: dict[str, Any] = {}
        self._records: dict[str, dict[str, Any]] = {}
        self._messages: dict[str, str] = {}

    def v2_runner_on_ok(self, result: Any) -> None:
        """Take what the steps of the two roles return."""
        self._take(result)

    def _take(self, result: Any) -> None:
        if result._task.action in ("ppocr_history", "ppocr_hooks"):
            data = result._result
            self._begun = data.get("begun", self._begun)
            self._hooks = data.get("hooks", self._hooks)
            if record := data.get("record"):
                self._records[record["host"]] = record

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Keep the message of a failure: the last one of a host is the one that counts."""
        self._take(result)  # the hooks at the end run after a pre-deploy that failed, too
        if not ignore_errors:
            self._messages[result._host.get_name()] = str(result._result.get("msg", ""))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Keep why a host was lost."""
        self._messages[result._host.get_name()] = str(result._result.get("msg", ""))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write the lines, then run the hooks."""
        if self._begun:
            records = [self._record(host, stats) for host in self._begun["hosts"]]
            try:
                history.append(Path(self._begun["control_file"]), records, self._begun["keep"])
            except OSError as error:
                self._warn(
                    f"The history {self._begun['control_file']} was not written ({error}): "
                    "correct ppocr_history_control_file"
                )
            self._run_hooks(records)
        self._forget()

    def _record(self, host: str, stats: Any) -> dict[str, Any]:
        """The line of a host, which has no record of its own if it was lost or never begun."""
        shared = {key: self._begun[key] for key in ("run", "verb", "who", "revision", "version")}
        record = {"when": history.now(), "host": host, **shared, **self._records.get(host, {})}
        if host in stats.dark:
            record["result"] = "unreachable"
        elif host in stats.failures:
            record["result"] = "failed"
        record.setdefault("result", "not run")
        if record["result"] != "ok":
            record["message"] = self._messages.get(host, "")
        return record

    def _run_hooks(self, records: list[dict[str, Any]]) -> None:
        failed = [record["host"] for record in records if record["result"] != "ok"]
        name = hooks.FAILURE if failed else hooks.POST
        if not self._hooks or (name == hooks.POST and self._begun["verb"] not in hooks.DEPLOYING):
            return
        about = hooks.environment(
            self._begun,
            self._begun["hosts"],
            result="failed" if failed else "ok",
            failed_hosts=",".join(failed),
            message="\n".join(f"{host}: {self._messages.get(host, '')}" for host in failed),
        )
        for hook in hooks.find(self._hooks["folder"], name):
            try:
                output = hooks.run(hook, about, self._hooks["timeout"])
            except Error as error:
                self._warn(f"{error}. The result of the run stays as it is")
            else:
                self._display.display(f"{hook}: {output.strip() or 'done'}")

    def _warn(self, text: str) -> None:
        self._display.display(text, color=constants.COLOR_ERROR)
