"""Action plugin: run the pre-deploy hooks on the control node, before anything is changed."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ppocr_control import hooks
from ppocr_control.errors import Error


class ActionModule(ActionBase):
    """``ppocr_hooks``: folder, timeout (seconds), begun (of role ppocr_history)."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = False  # hooks may change anything

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return ``hooks``, by which the callback finds those that run at the end, and ``said``."""
        folder, timeout = self._task.args["folder"], int(self._task.args["timeout"])
        result = {
            **super().run(tmp, task_vars),
            "changed": False,
            "hooks": {"folder": folder, "timeout": timeout},
            "said": {},
        }
        begun = self._task.args["begun"]
        if begun["verb"] in hooks.DEPLOYING:
            for hook in hooks.find(folder, hooks.PRE):
                try:
                    output = hooks.run(hook, hooks.environment(begun, begun["hosts"]), timeout)
                except Error as error:
                    return {
                        **result,
                        "failed": True,
                        "msg": f"{error}\nNothing was changed on any host.",
                    }
                result["said"][str(hook)] = output.strip()
        return result
