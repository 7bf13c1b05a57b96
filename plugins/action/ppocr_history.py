"""Action plugin: the history of changes (step begin, once a run; step record, on each host).

The lines of the control node are written by the callback of the same name, which reads what these
steps return: only it sees hosts that were lost on the way, and messages.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ppocr_control import history
from ppocr_control.settings.source import find_roles

_IMAGES = """
{ docker ps --all --quiet --filter label=org.ppocr.instance | xargs -r docker container inspect \
  --format '{"image": {{json .Config.Image}}, "image_id": {{json .Image}}, \
"version": {{json (index .Config.Labels "org.opencontainers.image.version")}}}'
} 2>/dev/null | tr '\\n' ' '
echo; cat @STATE@ 2>/dev/null || echo '{}'
"""
_WRITE = """
umask 077
file=@FILE@ state=@STATE@
mkdir -p "$(dirname "$file")" "$(dirname "$state")" || exit 1
[ -z "$(tail -c 1 "$file" 2>/dev/null)" ] || echo >>"$file" || exit 1 # its last line is cut off
printf '%s\\n' @LINE@ >>"$file" || exit 1
if [ "$(wc -l <"$file")" -gt @KEEP@ ]; then
  tail -n @KEEP@ "$file" >"$file.new" && mv "$file.new" "$file" || exit 1
fi
[ -z @SEEN@ ] || { printf '%s\\n' @SEEN@ >"$state.new" && mv "$state.new" "$state"; }
"""


class ActionModule(ActionBase):
    """``ppocr_history``: step, and what roles/ppocr_history passes to it."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = False  # check mode changes nothing, so there is nothing to record

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return ``begun`` or ``record``. A history that cannot be written fails no run."""
        variables = task_vars or {}
        result = {**super().run(tmp, variables), "changed": False}
        arguments = self._task.args
        if arguments["step"] == "begin":
            begun = {
                **history.begin(arguments["verb"]),
                "version": arguments["version"],
                "hosts": variables["ansible_play_hosts_all"],
                "control_file": arguments["control_file"],
                "keep": arguments["keep"],
                "settings": [
                    setting.name
                    for role in find_roles()
                    for setting in [*role.settings, *role.shared]
                ],
            }
            return {**result, "begun": begun}
        host, begun = variables["inventory_hostname"], arguments["begun"]
        record = {
            "when": history.now(),
            "host": host,
            **{key: begun[key] for key in ("run", "verb", "who", "revision")},
            "as": arguments["user"],
            "result": "ok" if host in variables["ansible_play_hosts"] else "failed",
        }
        if arguments["on_host"]:
            try:
                record.update(self._on_host(record, self._settings(host, variables)))
            except (AnsibleError, AnsibleConnectionFailure, ValueError) as error:
                result["warnings"] = [f"{host}: its history was not written: {error}"]
        return {**result, "record": {"version": begun["version"], **record}}

    def _settings(self, host: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The project's settings that inventory and command line set for a host."""
        found, set_there = {}, variables["hostvars"].raw_get(host)
        for name in set(set_there) & set(self._task.args["begun"]["settings"]):
            try:
                found[name] = self._templar.template(set_there[name])
            except AnsibleError:  # it depends on a fact that this run has not gathered
                found[name] = str(set_there[name])
        return found

    def _on_host(self, record: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
        """Write the line on the host, and return what was found there: image and changes."""
        images, _, seen = self._call(_IMAGES).partition("\n")
        found = json.JSONDecoder().raw_decode(images.strip() or "{}")[0]
        found = {key: value or "" for key, value in found.items()}
        new = ""
        if record["verb"] in ("deploy", "rollback"):
            prints = history.fingerprints(settings, record["host"])
            found["settings"] = history.changed(_parsed(seen), prints)
            # A run that failed may have applied nothing: the next one names its changes again.
            new = json.dumps(prints) if record["result"] == "ok" else ""
        line = history.line({**record, **found})
        self._call(_WRITE, LINE=line, SEEN=new, KEEP=str(self._task.args["keep"]))
        return found

    def _call(self, script: str, **values: str) -> str:
        paths = {"FILE": self._task.args["file"], "STATE": self._task.args["state"]}
        for name, value in {**paths, **values}.items():
            script = script.replace(f"@{name}@", shlex.quote(value))
        answer: dict[str, Any] = self._low_level_execute_command(script.strip())
        if answer["rc"]:
            raise AnsibleError(f"{answer['stderr'].strip()} (ppocr_history_file)")
        return str(answer["stdout"])


def _parsed(seen: str) -> dict[str, str]:
    """Fingerprints of the last deploy; none where a full disk has cut off their file."""
    try:
        parsed: dict[str, str] = json.loads(seen)
    except ValueError:
        return {}
    return parsed
