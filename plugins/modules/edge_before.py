#!/usr/bin/python
"""Ansible module: keeps the state of an edge while its new settings are tested."""

from __future__ import annotations

import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.ppocr_hosts.edge import Edge, RuntimeFault
from ansible.module_utils.ppocr_hosts.edge_before import Before

DOCUMENTATION = r"""
module: edge_before
short_description: Keep the state of an edge while its new settings are tested
description:
  - C(kept) gives its files a second name, C(aside) its container, which serves on, and
    C(exchanged) lets the container that was created in its place have the port. C(restored) puts
    files and container back. Module edge_runtime forgets them with C(live).
options:
  container: {type: str, required: true, description: The edge's container.}
  folder: {type: path, required: true, description: Its folder on the host.}
  state:
    description: What is to be done.
    choices: [kept, aside, exchanged, restored]
    required: true
  holder:
    type: str
    default: ""
    description: With C(exchanged), a container that has the port instead, and is stopped.
"""

RETURN = r"""
kept:
  description: Whether there is a state to go back to.
  type: bool
  returned: with kept
"""


def run(before, state, holder):
    """Run the step; return the module's result."""
    if state == "kept":  # a second name is no change that an operator looks for
        return {"changed": False, "kept": before.keep()}
    if state == "aside":
        before.set_aside()
        return {"changed": True}
    if state == "exchanged":
        before.exchange(holder)
        return {"changed": True}
    return {"changed": before.restore()}


def main():
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "state": {"choices": ["kept", "aside", "exchanged", "restored"], "required": True},
            "holder": {"type": "str", "default": ""},
        },
    )
    edge = Edge(module.params["container"], module.params["folder"])
    try:
        module.exit_json(**run(Before(edge), module.params["state"], module.params["holder"]))
    except (OSError, RuntimeFault, subprocess.SubprocessError) as error:
        module.fail_json(msg=f"the edge {edge.container}: {error}")


if __name__ == "__main__":
    main()
