"""Action plugin: which user logs in, whether it can become root, and which Python modules can use.

It runs plain commands, no modules: a module already needs become and Python, and fails without them
with a traceback. Unreachable hosts are reported by Ansible.
"""

from __future__ import annotations

import re
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ppocr_control.ssh import sudo_errors
from ppocr_control.ssh.framing import Frame

# Candidates for Ansible's Python on a host, preferred first.
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


def become_remedy(user: str, method: str, output: str, has_password: bool) -> str:
    """Return cause and remedy of a failed become; ``output`` is that of the host."""
    if known := sudo_errors.refusal(output, has_password):
        # The catalogue has sudo's messages; other become methods fail for the same causes.
        problem = re.sub(r"(?<!-)\bsudo\b", method, known.advice())
    else:
        last = output.strip().splitlines()[-1] if output.strip() else "no answer"
        problem = (
            f"{method} failed ({last[:200]}); "
            f"try `{method} id` as {user} on the host, or connect as root"
        )
    return f"User {user} cannot become root on this host: {problem}."


def noise_problem(user: str, noise: str) -> tuple[str, bool]:
    """Return a sentence about output of a login shell, and whether Ansible fails because of it.

    Ansible ignores complete lines; an incomplete last line becomes part of its next answer.
    """
    if not noise.strip():
        return "", False
    output = " ".join(noise.split())[:100]
    return (
        f'The login shell of {user} prints "{output}" when a command is run, which disturbs '
        "Ansible's file transfers. To continue, let ~/.bashrc (or the shell's own start-up "
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
        # Without become, so that an unreachable host fails here and is reported as unreachable.
        answer, output, noise = self._shell(probe, become=False)
        found = parse_probe(output)
        result.update(
            changed=False,
            user=found["user"],
            pythons=[f"{path} {major}.{minor}" for path, (major, minor) in found["pythons"]],
        )
        if found["uid"] < 0:
            output = (answer["stderr"] or answer["stdout"]).strip()[-300:]
            result.update(failed=True, msg=f"The host does not run plain shell commands: {output}")
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
            # The system's Python has the package manager's bindings; Ansible's discovery takes the
            # newest on PATH, which may be a version manager's stub.
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
                "Set become: true (this project's playbooks do), or connect as root."
            )
        has_password = bool(become.get_option("become_pass", playcontext=self._play_context))
        try:
            answer, output, _ = self._shell("id -u", become=True)
        except AnsibleError as error:
            return become_remedy(user, become.name, str(error), has_password)
        if output.strip() == "0":
            return ""
        # With a terminal sudo's messages are in stdout, and ssh appends "Shared connection closed".
        lines = (answer["stdout"] + "\n" + answer["stderr"]).splitlines()
        messages = "\n".join(
            line for line in lines if not re.match(r"Shared connection to .*closed", line)
        )
        return become_remedy(user, become.name, messages, has_password)

    def _shell(self, script: str, become: bool) -> tuple[dict[str, Any], str, str]:
        """Run a one-line script in the way modules will run.

        Returns the answer, the script's output, and output before it.
        """
        frame = Frame()
        # With pipelining modules come over standard input, where sudo has no terminal.
        if self._is_pipelining_enabled("new"):
            answer = self._low_level_execute_command(
                "sh -s", in_data=frame.script(script), sudoable=become
            )
        else:
            line = frame.script(script).strip().replace("(\n", "(").replace("\n", "; ")
            answer = self._low_level_execute_command(line, sudoable=become)
        framed = frame.answer(answer["stdout"], answer["stderr"])
        return answer, framed.out if framed else "", frame.noise.decode() if framed else ""

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
