#!/usr/bin/python
"""Ansible module: keeps files of a folder until an update that writes them is final."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.ppocr_hosts.former_files import FormerFiles

DOCUMENTATION = r"""
module: former_files
short_description: Keep files of a folder until an update that writes them is final
description:
  - C(kept) gives them a second name, C(restored) goes back to what was kept, C(forgotten) lets the
    present ones count. Without the folder nothing is done.
options:
  folder: {type: path, required: true, description: The folder.}
  names: {type: list, elements: str, required: true, description: The files, where they exist.}
  state:
    description: What is to be done.
    choices: [kept, restored, forgotten]
    required: true
"""


def run(files, state):
    """Do what is asked; return whether a file changed. A second name is no change."""
    if state == "kept":
        files.keep()
        return False
    changed = state == "restored" and files.restore()
    files.forget()
    return changed


def main():
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "state": {"choices": ["kept", "restored", "forgotten"], "required": True},
        },
    )
    folder, state = module.params["folder"], module.params["state"]
    if not Path(folder).is_dir():
        module.exit_json(changed=False)
    try:
        module.exit_json(changed=run(FormerFiles(folder, module.params["names"]), state))
    except OSError as error:
        module.fail_json(msg=f"{folder}: {error}")


if __name__ == "__main__":
    main()
