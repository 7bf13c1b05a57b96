"""Action plugin: check the name and type of every setting of every role, on the control node.

It reads the argument specs of all roles, so a setting with a wrong name or type is refused before
the first connection, not only when its role runs. It needs no host and no facts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ppocr_control import setting_values

# Keys of an option that do not restrict its value.
_PRESENCE_KEYS = frozenset({"required", "default", "description", "version_added"})
_SECRET_PARTS = ("password", "token", "secret", "proxy", "_key")


def role_options(roles_dir: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return {role: {option: its spec}} for the main entry point of each role below roles_dir.

    Raises AnsibleError naming the file when a specification cannot be parsed.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(roles_dir.glob("*/meta/argument_specs.yml")):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise AnsibleError(f"{path} is not valid YAML: {error}") from error
        main = (document.get("argument_specs") or {}).get("main") or {}
        found[path.parent.parent.name] = main.get("options") or {}
    return found


def unknown_names(
    names: Iterable[str], known: Iterable[str], prefixes: Iterable[str], allowed: Iterable[str] = ()
) -> dict[str, str]:
    """Return {name: nearest known name or ''} for unknown names with one of the prefixes."""
    known_names, starts, exceptions = sorted(known), tuple(prefixes), set(allowed)
    unknown = {}
    for name in sorted(names):
        if name.startswith(starts) and name not in known_names and name not in exceptions:
            nearest = difflib.get_close_matches(name, known_names, n=1, cutoff=0.75)
            unknown[name] = nearest[0] if nearest else ""
    return unknown


def type_error(name: str, value: Any, option: Mapping[str, Any]) -> str:
    """Return Ansible's own errors about value (choices, unknown keys), or ''."""
    if value is None:
        return ""
    spec = {name: {key: item for key, item in option.items() if key not in _PRESENCE_KEYS}}
    result = ArgumentSpecValidator(spec).validate({name: value})
    return "; ".join(result.error_messages)


def shown(name: str, value: Any, secret: bool = False) -> str:
    """Return value as text for a message, hidden if it is, or by its name may be, a secret."""
    if secret or any(part in name for part in _SECRET_PARTS):
        return "(hidden)"
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


class ActionModule(ActionBase):
    """inventory_check_settings: roles_dir, top_level (options), allowed (names), ranges,
    not_empty (names), host_paths (names), facts (names roles set for each other)."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return a result whose `problems` lists one sentence for each bad setting."""
        variables = task_vars or {}
        result = super().run(tmp, variables)
        roles = role_options(Path(self._task.args["roles_dir"]))
        owners = {name: (role, spec) for role, opts in roles.items() for name, spec in opts.items()}
        for name, spec in (self._task.args.get("top_level") or {}).items():
            owners[name] = ("inventory_check", spec)

        entries = roles.get("hubserving", {}).get("hubserving_instances", {}).get("options")
        ranges = {name: tuple(pair) for name, pair in self._task.args.get("ranges", {}).items()}
        problems = self._name_problems(variables, owners, roles)
        for name, (role, spec) in sorted(owners.items()):
            if name not in variables:
                continue
            if name.endswith("_instances") and not spec.get("options"):
                # Its default is derived from the service's instances.
                spec = {**spec, "options": entries}
            try:
                value = self._templar.template(variables[name])
            except AnsibleError as error:
                if "vault secrets" in str(error):
                    problems.append(
                        f"{name} is encrypted, and none of the given passwords opens it: give the "
                        "right one with --ask-vault-pass or --vault-password-file FILE"
                    )
                continue  # it depends on a fact: its role checks it later
            secret = bool(spec.get("no_log"))
            see = f"See roles/{role}/README.md"
            if found := setting_values.problem(name, value, spec, ranges):
                problems.append(f"{found} (it is {shown(name, value, secret)}). {see}")
            elif found := self._text_problem(name, value):
                problems.append(f"{found}. {see}")
            elif wrong := type_error(name, value, spec):
                problems.append(f"{name} is {shown(name, value, secret)}: {wrong}. {see}")
        result.update(changed=False, problems=problems)
        if problems:
            result.update(
                failed=True, msg="Refused before any host was touched:\n- " + "\n- ".join(problems)
            )
        return result

    def _text_problem(self, name: str, value: Any) -> str:
        if value == "" and name in self._task.args.get("not_empty", ()):
            return f"{name} is empty: give it a value, or remove the line for its default"
        if name in self._task.args.get("host_paths", ()) and not re.match("/[^/]", str(value)):
            return (
                f"{name} is {value}, and is a path on the hosts: give the full path, which begins "
                "with / (~ would be the home of the user who becomes root)"
            )
        return ""

    def _name_problems(
        self, variables: dict[str, Any], owners: Mapping[str, Any], roles: Iterable[str]
    ) -> list[str]:
        prefixes = ["ppocr_", *(f"{role}_" for role in roles)]
        # Facts may be there from an earlier play; what a playbook hands to this role is a
        # variable of the task.
        ours = {*(self._task.args.get("facts") or ()), *self._task.get_vars()}
        allowed = {*(self._task.args.get("allowed") or ()), *ours}
        unknown = unknown_names(variables, owners, prefixes, allowed)
        problems = []
        for name, nearest in unknown.items():
            hint = f"did you mean {nearest}?" if nearest else "no setting has a similar name."
            try:
                value = shown(name, self._templar.template(variables[name]))
            except AnsibleError:
                value = "(a template)"
            problems.append(
                f"{name} (set to {value}) is not a setting of this project: {hint} "
                "Correct or remove it; if it is a variable of your own, "
                "list it in inventory_check_allowed_names"
            )
        return problems
