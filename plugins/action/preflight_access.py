"""Action plugin: who are we on the host, may we become root, and is there a Python for modules?

Plain commands over the connection, no module: a module would already need become and Python,
and its failure would be a traceback. A host that cannot be reached is left to Ansible to report.
"""

from __future__ import annotations

import re
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ppocr_control.ssh import sudo_errors
from ppocr_control.ssh.framing import Frame

# Where a host keeps its Pythons, the one Ansible would be told to use first.
_PYTHONS = (
    "/usr/bin/python3 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 "
    "/usr/libexec/platform-python"
)
_VERSION_CODE = "import sys; print('%d.%d' % sys.version_info[:2])"
_PROBE = (
    'echo "user=$(id -un)"; echo "uid=$(id -u)"; '
    'command -v sudo >/dev/null 2>&1 && echo "sudo=yes"; '
    "for p in {pythons}; do "
    'v=$("$p" -c "{code}" 2>/dev/null) && echo "python=$p $v"; '
    "done; true"
)


def parse_probe(text: str) -> dict[str, Any]:
    """Return user, uid, sudo (bool) and pythons [(path, (major, minor))] from the probe's lines."""
    found: dict[str, Any] = {"user": "", "uid": -1, "sudo": False, "pythons": []}
    for line in text.splitlines():
        key, _, value = line.strip().partition("=")
        if key == "user":
            found["user"] = value
        elif key == "uid" and value.isdigit():
            found["uid"] = int(value)
        elif key == "sudo":
            found["sudo"] = value == "yes"
        elif key == "python":
            match = re.fullmatch(r"(\S+) (\d+)\.(\d+)", value)
            if match:
                found["pythons"].append((match[1], (int(match[2]), int(match[3]))))
    return found


def become_remedy(user: str, method: str, said: str, has_password: bool) -> str:
    """Return one sentence with its remedy for a failed become; `said` is what the host answered."""
    cause = sudo_errors.refusal(said, has_password)
    remedies = {
        sudo_errors.MISSING: (
            f"{method} is not installed on the host",
            f"install {method} there, or connect as root (ansible_user: root)",
        ),
        sudo_errors.WRONG_PASSWORD: (
            f"{method} refused the password given",
            "correct ansible_become_password, or type it with --ask-become-pass",
        ),
        sudo_errors.NOT_ALLOWED: (
            f"{method} does not allow this user to become root",
            f"add {user} to the sudoers on the host (visudo), or connect as root",
        ),
        sudo_errors.TERMINAL: (
            f"{method} asks for a terminal",
            "remove requiretty from the host's sudoers",
        ),
        sudo_errors.PASSWORD: (
            f"{method} wants a password",
            "run with --ask-become-pass, set ansible_become_password (in a vault), "
            "allow it without one (NOPASSWD in sudoers), or connect as root",
        ),
    }
    if cause:
        cause, remedy = remedies[cause]
    else:
        last = said.strip().splitlines()[-1] if said.strip() else "no answer"
        cause, remedy = (
            f"{method} failed ({last[:200]})",
            f"try `{method} id` as {user} on the host, or connect as root",
        )
    return f"User {user} cannot become root on this host: {cause}. To go on, {remedy}."


def noise_problem(user: str, noise: str) -> tuple[str, bool]:
    """Return a sentence about what a login shell prints unasked, and whether Ansible fails over it.

    Ansible copes with whole lines; a last one without its end becomes part of its next answer.
    """
    if not noise.strip():
        return "", False
    said = " ".join(noise.split())[:100]
    return (
        f'The login shell of {user} prints "{said}" when a command is run, which gets between '
        "Ansible and its file transfers. To go on, let ~/.bashrc (or the shell's own start-up "
        "file) on the host print only at a terminal: [ -t 1 ] || return"
    ), not noise.endswith("\n")


class ActionModule(ActionBase):
    """preflight_access: python_min ("3.8"). Fails with one sentence; changes nothing."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return user, root (bool) and pythons; failed with msg when the host cannot be used."""
        variables = task_vars or {}
        result = super().run(tmp, variables)
        wanted = str(self._templar.template(variables.get("ansible_python_interpreter") or ""))
        wanted = "" if wanted.startswith("auto") else wanted
        pythons = f"{wanted} {_PYTHONS}".strip()
        probe = _PROBE.replace("{pythons}", pythons).replace("{code}", _VERSION_CODE)
        # Without become: a host out of reach fails here, as unreachable.
        answer, said, noise = self._shell(probe, become=False)
        found = parse_probe(said)
        result.update(
            changed=False,
            user=found["user"],
            pythons=[f"{path} {major}.{minor}" for path, (major, minor) in found["pythons"]],
        )
        if found["uid"] < 0:
            said = (answer["stderr"] or answer["stdout"]).strip()[-300:]
            result.update(failed=True, msg=f"The host does not run plain shell commands: {said}")
            return result
        noisy, fatal = noise_problem(found["user"], noise)
        problem = (
            (noisy if fatal else "")
            or self._become_problem(found)
            or self._python_problem(found, wanted)
        )
        if noisy and not fatal:
            result["warnings"] = [noisy]
        if problem:
            result.update(failed=True, msg=problem)
        elif not wanted:
            # The system's own Python has the package manager's bindings; Ansible's discovery takes
            # the newest it sees on PATH, which may be a version manager's empty shell.
            low = self._lowest()
            path = next(path for path, version in found["pythons"] if version >= low)
            result["ansible_facts"] = {"discovered_interpreter_python": path}
        return result

    def _lowest(self) -> tuple[int, ...]:
        return tuple(int(part) for part in str(self._task.args["python_min"]).split("."))

    def _become_problem(self, found: dict[str, Any]) -> str:
        become = self._connection.become
        user = found["user"] or "(unknown)"
        if become is None:
            if found["uid"] == 0:
                return ""
            return (
                f"User {user} is not root and the play has no become. "
                "Set become: true (the playbooks here do), or connect as root."
            )
        has_password = bool(become.get_option("become_pass", playcontext=self._play_context))
        try:
            answer, said, _ = self._shell("id -u", become=True)
        except AnsibleError as error:
            return become_remedy(user, become.name, str(error), has_password)
        if said.strip() == "0":
            return ""
        # With a terminal, sudo's message is in stdout, and ssh appends "Shared connection closed".
        lines = (answer["stdout"] + "\n" + answer["stderr"]).splitlines()
        words = "\n".join(
            line for line in lines if not re.match(r"Shared connection to .*closed", line)
        )
        return become_remedy(user, become.name, words, has_password)

    def _shell(self, script: str, become: bool) -> tuple[dict[str, Any], str, str]:
        """Run a one-line script as modules will run.

        Returns the answer, what the script printed, and what was printed before it.
        """
        frame = Frame()
        # Modules come over the standard input (pipelining), where sudo has no terminal.
        if self._is_pipelining_enabled("new"):
            answer = self._low_level_execute_command(
                "sh -s", in_data=frame.script(script), sudoable=become
            )
        else:
            line = frame.script(script).strip().replace("(\n", "(").replace("\n", "; ")
            answer = self._low_level_execute_command(line, sudoable=become)
        said = frame.answer(answer["stdout"], answer["stderr"])
        return answer, said.out if said else "", frame.noise.decode() if said else ""

    def _python_problem(self, found: dict[str, Any], wanted: str) -> str:
        low = self._lowest()
        usable = [path for path, version in found["pythons"] if version >= low]
        low_text = ".".join(map(str, low))
        if wanted:
            if wanted in usable:
                return ""
            return (
                f"ansible_python_interpreter is {wanted}, which is no Python {low_text} or newer "
                f"on this host. Correct it; found: {', '.join(usable) or 'none'}."
            )
        if usable:
            return ""
        seen = ", ".join(f"{path} ({v[0]}.{v[1]})" for path, v in found["pythons"]) or "none"
        return (
            f"The host has no Python {low_text} or newer, which Ansible's modules need "
            f"(found: {seen}). Install one on the host: apt-get install python3, "
            "or dnf install python39 and name it in ansible_python_interpreter."
        )
