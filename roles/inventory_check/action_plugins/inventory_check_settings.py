"""Action plugin: check the name and type of every setting of every role, on the control node.

It reads the argument specs of all roles, so a misspelt or ill-typed setting is refused before
the first connection, and not when its role's turn comes. It needs no host and no facts.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

# Keys of an option that say whether it must be given, not what it may be.
_PRESENCE_KEYS = frozenset({"required", "default", "description", "version_added"})
_SECRET_WORDS = ("password", "token", "secret", "proxy", "_key")


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
    """Return {name: nearest known name or ''} for names with one of our prefixes nobody defines."""
    known_list, starts, let_through = sorted(known), tuple(prefixes), set(allowed)
    unknown = {}
    for name in sorted(names):
        if name.startswith(starts) and name not in known_list and name not in let_through:
            near = difflib.get_close_matches(name, known_list, n=1, cutoff=0.75)
            unknown[name] = near[0] if near else ""
    return unknown


def type_error(name: str, value: Any, option: Mapping[str, Any]) -> str:
    """Return what is wrong with value by the option's spec (type, choices, elements), or ''."""
    if value is None:
        return ""
    spec = {name: {key: item for key, item in option.items() if key not in _PRESENCE_KEYS}}
    result = ArgumentSpecValidator(spec).validate({name: value})
    return "; ".join(result.error_messages)


def shown(name: str, value: Any) -> str:
    """Return value as text for a message, hidden where the name promises a secret."""
    if any(word in name for word in _SECRET_WORDS):
        return "(hidden)"
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


class ActionModule(ActionBase):
    """inventory_check_settings: roles_dir, top_level (options), allowed (names)."""

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

        problems = self._name_problems(variables, owners, roles)
        for name, (role, spec) in sorted(owners.items()):
            if name not in variables:
                continue
            try:
                value = self._templar.template(variables[name])
            except AnsibleError:
                continue  # it hangs on a fact: its role checks it once facts are there
            error = type_error(name, value, spec)
            if error:
                problems.append(
                    f"{name} is {shown(name, value)}: {error}. See roles/{role}/README.md"
                )
        result.update(changed=False, problems=problems)
        if problems:
            result.update(
                failed=True, msg="Refused before any host was touched:\n- " + "\n- ".join(problems)
            )
        return result

    def _name_problems(
        self, variables: dict[str, Any], owners: Mapping[str, Any], roles: Iterable[str]
    ) -> list[str]:
        prefixes = ["ppocr_", *(f"{role}_" for role in roles)]
        unknown = unknown_names(variables, owners, prefixes, self._task.args.get("allowed") or ())
        problems = []
        for name, near in unknown.items():
            hint = f"did you mean {near}?" if near else "no setting has a name like it."
            try:
                value = shown(name, self._templar.template(variables[name]))
            except AnsibleError:
                value = "(a template)"
            problems.append(
                f"{name} (set to {value}) is not a setting of this project: {hint} "
                "Correct or remove it; if it belongs to something else of yours, "
                "list it in inventory_check_allowed_names"
            )
        return problems
