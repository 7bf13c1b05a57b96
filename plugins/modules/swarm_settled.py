#!/usr/bin/python
"""Ansible module: waits until a Swarm service is as it was last deployed.

Standard library only; asks the docker command.
"""

from __future__ import annotations

import json
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: swarm_settled
short_description: Wait until every task of a Swarm service has a label, and runs
description:
  - A task runs once its healthcheck has passed. Fails where Swarm has rolled an update back, with
    what its tasks failed of, and where the tasks do not get there in time.
options:
  service: {type: str, required: true, description: Name of the service.}
  label: {type: str, required: true, description: The label.}
  mark: {type: str, required: true, description: Its value.}
  timeout:
    description: Seconds without progress, which is a task more that runs and has the label.
    type: int
    required: true
"""

RETURN = r"""
running:
  description: Tasks that run.
  type: int
  returned: success
"""

PAUSE = 1.0


class Unsettled(Exception):
    """The service will not get there; the message says why."""


class NoAnswer(Exception):
    """The managers do not answer, as while they elect a leader; the message is the engine's."""


def docker(*arguments):
    """Return what a docker command prints."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, check=False, timeout=60, encoding="utf-8"
    )
    if done.returncode:
        raise NoAnswer(done.stderr.strip())
    return done.stdout


def lines(text):
    """Return the JSON objects of a text, one a line."""
    return [json.loads(line) for line in text.splitlines()]


class Service:
    """A service as a manager sees it."""

    def __init__(self, name, label):
        self._name, self._label = name, label

    def spec(self):
        """Return its value of the label, and how its last update goes; empty without one."""
        (found,) = json.loads(docker("service", "inspect", self._name))
        state = (found.get("UpdateStatus") or {}).get("State", "")
        return found["Spec"]["Labels"].get(self._label, ""), state

    def counts(self, mark):
        """Return how many tasks run with this value, how many at all, and how many are wanted."""
        rows = lines(docker("service", "ls", "--format={{json .}}"))
        (replicas,) = [row["Replicas"] for row in rows if row["Name"] == self._name]
        wanted = int(replicas.split()[0].partition("/")[2])
        ids = docker(
            "service", "ps", "--quiet", "--filter=desired-state=running", self._name
        ).split()
        tasks = json.loads(docker("inspect", "--type=task", *ids)) if ids else []
        running = [task for task in tasks if task["Status"]["State"] == "running"]
        right = [
            task
            for task in running
            if (task["Spec"]["ContainerSpec"].get("Labels") or {}).get(self._label) == mark
        ]
        return len(right), len(running), wanted

    def errors(self):
        """Return what its last tasks failed of, each once."""
        rows = lines(docker("service", "ps", "--no-trunc", "--format={{json .}}", self._name))
        found = [
            "{} on {}: {}".format(row["Name"], row["Node"] or "no host", row["Error"].strip('"'))
            for row in rows
            if row["Error"]
        ]
        return "; ".join(dict.fromkeys(found[:3])) or "no task says why"


def settled(service, mark):
    """Return (whether all tasks are as wanted, how many are); raise Unsettled after a rollback."""
    label, state = service.spec()
    if state.endswith("paused") or (state == "rollback_completed" and label != mark):
        raise Unsettled(
            "Swarm has {} the update: {}. Correct what that names and deploy again".format(
                "stopped" if state.endswith("paused") else "rolled back", service.errors()
            )
        )
    right, running, wanted = service.counts(mark)
    ended = state in ("", "completed", "rollback_completed")
    return label == mark and ended and right == running == wanted, right


def wait(service, mark, timeout):
    """Return how many tasks run, once all are as wanted."""
    best, deadline = -1, 0.0
    while True:
        said = ""
        try:
            done, right = settled(service, mark)
        except NoAnswer as error:
            done, right, said = False, 0, str(error)
        if done:
            return right
        if right > best:
            best, deadline = right, time.monotonic() + timeout
        if time.monotonic() > deadline:
            why = said or service.errors()
            raise Unsettled(
                f"no task more is ready after {timeout} s (hubserving_wait_timeout): {why}. "
                "playbooks/logs.yml shows the tasks' logs"
            )
        time.sleep(PAUSE)


def main():
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "label": {"type": "str", "required": True},
            "mark": {"type": "str", "required": True},
            "timeout": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        running = wait(Service(asked["service"], asked["label"]), asked["mark"], asked["timeout"])
    except (OSError, NoAnswer, Unsettled, subprocess.SubprocessError) as error:
        module.fail_json(msg="service {}: {}".format(asked["service"], error))
    module.exit_json(changed=False, running=running)


if __name__ == "__main__":
    main()
