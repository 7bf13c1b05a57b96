#!/usr/bin/python
"""Ansible module: changes a running edge: which container serves, and its configuration."""

from __future__ import annotations

import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.ppocr_hosts.edge import SLOTS, Edge, RuntimeFault
from ansible.module_utils.ppocr_hosts.edge_before import Before

DOCUMENTATION = r"""
module: edge_runtime
short_description: Change which container a running edge serves from, and its configuration
description:
  - The slot that is to serve is the last word of an update - what was kept by edge_before is
    forgotten.
options:
  container: {type: str, required: true, description: The edge's container.}
  folder: {type: path, required: true, description: Its folder on the host.}
  candidate: {type: str, description: The slot that requests with the secret are sent to.}
  word: {type: str, default: "", no_log: true, description: That secret; empty to send none there.}
  live: {type: str, description: The slot that is to serve; waits for the other to be drained.}
  drain_timeout: {type: int, default: 30, description: Seconds to wait for it.}
  maintenance: {type: bool, description: Whether clients are answered with 503.}
  answers: {type: dict, default: {}, description: What they get then by the key in maintenance.map.}
  retry_after: {type: int, default: 0, description: Seconds until they may retry.}
  apply: {type: list, elements: str, description: Its files that have changed.}
"""

RETURN = r"""
unfinished:
  description: Requests that were on the old slot when drain_timeout was over.
  type: int
  returned: with live
replaced:
  description: Whether the edge has another container than before.
  type: bool
  returned: with live
"""


def run(edge, values):
    """Change the edge; return the module's result."""
    result = {"changed": False}
    if values["candidate"]:
        result["changed"] = edge.send_candidate(values["candidate"], values["word"])
    if values["live"]:
        result["changed"] = edge.serve(values["live"])
        result["replaced"] = Before(edge).forget()
        (other,) = set(SLOTS) - {values["live"]}
        result["unfinished"] = edge.drain(other, values["drain_timeout"])
    if values["maintenance"] is not None:
        answers = values["answers"] if values["maintenance"] else {}
        result["changed"] = edge.maintain(answers, values["retry_after"])
    if values["apply"]:
        edge.apply(values["apply"])
        result["changed"] = True
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "candidate": {"type": "str", "choices": list(SLOTS)},
            "word": {"type": "str", "default": "", "no_log": True},
            "live": {"type": "str", "choices": list(SLOTS)},
            "drain_timeout": {"type": "int", "default": 30},
            "maintenance": {"type": "bool"},
            "answers": {"type": "dict", "default": {}},
            "retry_after": {"type": "int", "default": 0},
            "apply": {"type": "list", "elements": "str"},
        },
    )
    edge = Edge(module.params["container"], module.params["folder"])
    try:
        module.exit_json(**run(edge, module.params))
    except (OSError, RuntimeFault, subprocess.SubprocessError) as error:
        module.fail_json(
            msg="the edge {}: {}".format(module.params["container"], error),
        )


if __name__ == "__main__":
    main()
