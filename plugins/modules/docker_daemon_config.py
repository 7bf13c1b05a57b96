#!/usr/bin/python
"""Ansible module: the one writer of dockerd's daemon.json.

A file it wrote counts as unproven until dockerd has come up with it: a marker beside the file
names the backup that goes back if it does not. The marker outlives a killed run, so the next one
still knows that a restart is due, and what to go back to.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.ppocr_hosts.docker_daemon_json import (
    BadConfig,
    desired,
    flag_conflicts,
    parse,
    render,
    type_errors,
)
from ansible.module_utils.ppocr_hosts.docker_engine_socket import dockerd_processes, find_binary

DOCUMENTATION = r"""
module: docker_daemon_config
short_description: Merge settings into dockerd's daemon.json, or take a merge back
description:
  - C(merged) merges settings over what the file holds, checks the result, keeps a backup and
    replaces the file atomically. A file that holds all of it already is not touched.
  - C(accepted) says that dockerd runs with the file. C(restored) puts the backup back.
options:
  path:
    description: The file.
    type: path
    default: /etc/docker/daemon.json
  state:
    description: What to do.
    type: str
    choices: [merged, accepted, restored]
    default: merged
  fragments:
    description: Settings of roles, merged in this order.
    type: list
    elements: dict
    default: []
  config:
    description: The operator's settings, merged last. null removes a key.
    type: dict
    default: {}
  defaults:
    description: Settings that go in only where nobody set any of their keys.
    type: list
    elements: dict
    default: []
  defaults_alone:
    description: Whether defaults are reason enough to change the file.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Use a mirror
  docker_daemon_config:
    config:
      registry-mirrors: [https://mirror.example]
"""

RETURN = r"""
restart_due:
  description: Whether dockerd has yet to prove that it takes the file.
  type: bool
  returned: state is merged
changed_keys:
  description: Top-level keys that were added, changed or removed.
  type: list
  returned: state is merged
backup:
  description: Copy of the file before the change, empty when there was none.
  type: str
  returned: state is merged or restored
refused:
  description: Where the refused file lies for you to look at.
  type: str
  returned: state is restored
"""


def marker_path(path):
    """Return where the marker of an unproven file at path lies."""
    return path.with_name(f".{path.name}.unproven")


def timestamp():
    """Return the time in UTC as a file's name can hold it."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def read_text(path):
    """Return the file's text, '' when there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def write_atomically(path, text, like=None):
    """Replace path by text through a temporary file beside it, mode and owner as those of like."""
    handle, name = tempfile.mkstemp(prefix=".daemon-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if like and like.exists():
            shutil.copymode(like, temporary)
            stat = like.stat()
            os.chown(temporary, stat.st_uid, stat.st_gid)
        else:
            temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        if temporary.exists():
            temporary.unlink()
        raise
    folder_handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder_handle)
    finally:
        os.close(folder_handle)


def dockerd_verdict(text):
    """Return why dockerd refuses a configuration, '' when it does not or cannot say (before 23)."""
    dockerd = find_binary("dockerd")
    if not dockerd:
        return ""
    usage = subprocess.run([dockerd, "--help"], capture_output=True, text=True, check=False)
    if "--validate" not in usage.stdout + usage.stderr:
        return ""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as candidate:
        candidate.write(text)
        candidate.flush()
        command = [dockerd, "--validate", "--config-file", candidate.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return ""
        said = (done.stderr or done.stdout).strip().replace(candidate.name, "daemon.json")
        return said.splitlines()[-1] if said else f"exit status {done.returncode}"


def refusal(config):
    """Return why config must not be written, '' when nothing speaks against it."""
    errors = type_errors(config)
    for _pid, argv in dockerd_processes()[:1]:
        errors += flag_conflicts(config, argv)
    if not errors:
        verdict = dockerd_verdict(render(config))
        errors = ["dockerd says: " + verdict] if verdict else []
    return "; ".join(errors)


def merged(module, path):
    """Bring the file to the wanted state; return the module's result."""
    params = module.params
    before = read_text(path)
    host = parse(before, path)
    wanted = desired(
        host, params["fragments"], params["config"], params["defaults"], params["defaults_alone"]
    )
    marker = marker_path(path)
    unproven = marker.exists()
    backup = json.loads(read_text(marker))["backup"] if unproven else ""
    result = {"changed": wanted != host, "backup": backup, "restart_due": unproven}
    result["changed_keys"] = sorted(
        key for key in {*host, *wanted} if host.get(key) != wanted.get(key)
    )
    if wanted == host:
        return result

    reason = refusal(wanted)
    if reason:
        raise BadConfig(
            f"{path} would not be accepted with these settings: {reason}. Correct "
            "docker_engine_daemon_config (or the fragment of a role); the file was left as it is"
        )
    after = render(wanted)
    if module._diff:
        header = str(path)
        result["diff"] = {"before": before, "after": after}
        result["diff"].update(before_header=header, after_header=header)
    if module.check_mode:
        return result

    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not unproven:
        if path.exists():
            backup = f"{path}.{timestamp()}.bak"
            shutil.copy2(path, backup)
        # The marker comes first: a run killed between the two only restarts once too often.
        write_atomically(marker, json.dumps({"backup": backup}) + "\n")
    write_atomically(path, after, like=path)
    result.update(backup=backup, restart_due=True)
    return result


def accepted(module, path):
    """Forget that the file is unproven."""
    marker = marker_path(path)
    there = marker.exists()
    if there and not module.check_mode:
        marker.unlink()
    return {"changed": False, "was_unproven": there}


def restored(module, path):
    """Put back what was there before the unproven file, which is kept under another name."""
    marker = marker_path(path)
    if not marker.exists():
        return {"changed": False, "backup": "", "refused": ""}
    backup = json.loads(read_text(marker))["backup"]
    refused = f"{path}.{timestamp()}.refused"
    if not module.check_mode:
        if path.exists():
            shutil.copy2(path, refused)
        if backup and Path(backup).exists():
            write_atomically(path, read_text(Path(backup)), like=Path(backup))
        elif not backup and path.exists():
            path.unlink()
        marker.unlink()
    return {"changed": True, "backup": backup, "refused": refused}


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/docker/daemon.json"},
            "state": {
                "type": "str",
                "choices": ["merged", "accepted", "restored"],
                "default": "merged",
            },
            "fragments": {"type": "list", "elements": "dict", "default": []},
            "config": {"type": "dict", "default": {}},
            "defaults": {"type": "list", "elements": "dict", "default": []},
            "defaults_alone": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    act = {"merged": merged, "accepted": accepted, "restored": restored}[module.params["state"]]
    try:
        # An operator's link to a file elsewhere stays a link.
        module.exit_json(**act(module, Path(module.params["path"]).resolve()))
    except BadConfig as error:
        module.fail_json(msg=str(error))
    except (OSError, UnicodeDecodeError) as error:
        module.fail_json(msg=f"{module.params['path']}: {error}")


if __name__ == "__main__":
    main()
