"""The order in which role rollout updates hosts, and where it ends.

Role hubserving is a stand-in that fails or cuts the connection where it is told to; the real one
is updated batch by batch in tests/lab/test_balancers.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from role_code import ROOT
from test_inventory_check import run_play

from tests.tiers import first_by_default

pytestmark = pytest.mark.slow
ROLES: dict[str, str] = {
    "hubserving/tasks/replaced.yml": """
- ansible.builtin.set_fact:
    hubserving_replaced: "{{ ['ppocr'] if runs | default(true) else [] }}"
""",
    "hubserving/tasks/main.yml": f"""
- ansible.builtin.set_fact:
    __hubserving_step: {{instances: [ppocr], instance: ppocr, way: replace, proven: false}}
  tags: [hubserving, hubserving_run]
- ansible.builtin.command: "true"
  name: UPDATE
  tags: [hubserving, hubserving_run]
- ansible.builtin.ping:
  vars: {{ansible_connection: "{{{{ 'ssh' if lost | default(false) else 'local' }}}}"}}
  tags: [hubserving, hubserving_run]
- ansible.builtin.fail: {{msg: [no luck, none at all]}}
  when: fails | default(false)
  tags: [hubserving, hubserving_run]
- ansible.builtin.include_tasks:
    file: {ROOT}/roles/hubserving/tasks/together.yml
    apply: {{tags: [hubserving, hubserving_run]}}
  tags: [hubserving, hubserving_run]
- ansible.builtin.command: "true"
  name: SWITCH
  tags: [hubserving, hubserving_run]
""",
    "smoke_test/tasks/main.yml": """
- ansible.builtin.command: "true"
  name: TEST
  tags: [smoke_test]
""",
    "balancer/tasks/tell.yml": """
- ansible.builtin.debug:
    msg: "{{ balancer_state }} {{ balancer_servers | default([inventory_hostname]) | join('+') }}."
""",
}
PLAY = """
- hosts: ppocr_hosts
  gather_facts: false
  tasks:
    - block:
        - ansible.builtin.import_role: {name: rollout}
      always:
        - ansible.builtin.debug: {msg: released}
          tags: [always]
"""


def roll(
    folder: Path, hosts: dict[str, dict], *arguments: str, balancers: tuple[str, ...] = ()
) -> tuple[int, str, list[str]]:
    """Exit status, output in one line, and the hosts in the order in which they were updated."""
    for name, text in ROLES.items():
        path = folder / "roles" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "play.yml").write_text(PLAY)
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    group = {"hosts": {name: {**common, "ansible_host": "host.invalid", **own}
                       for name, own in hosts.items()}}  # fmt: skip
    groups = {"ppocr_hosts": group, "ppocr_balancers": {"hosts": {name: {} for name in balancers}}}
    (folder / "hosts.json").write_text(json.dumps(groups))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", folder / "hosts.json",
         folder / "play.yml", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
             "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
             "ANSIBLE_ROLES_PATH": f"{folder / 'roles'}:{ROOT / 'roles'}"},
    )  # fmt: skip
    updates = re.findall(r"TASK \[hubserving : UPDATE\] \*+\n((?:\w+: \[\w+\]\n)+)", done.stdout)
    order = ["+".join(sorted(re.findall(r"\[(\w+)\]", each))) for each in updates]
    return done.returncode, " ".join((done.stdout + done.stderr).split()), order


def test_a_host_that_a_killed_run_took_out_of_the_balancers_is_put_back(tmp_path: Path) -> None:
    hosts: dict[str, dict] = {"a": {"runs": False}, "b": {"runs": False}}
    status, output, order = roll(tmp_path, hosts, balancers=("a",))
    assert status == 0 and order == ["a+b"], output
    assert "ready a+b." in output and "drained" not in output


def released(output: str) -> set[str]:
    return set(re.findall(r'ok: \[(\w+)\] => (?:\{ "msg": "|msg: )released', output))


def test_hosts_follow_in_batches_after_those_that_are_not_interrupted(tmp_path: Path) -> None:
    hosts: dict[str, dict] = {"a": {}, "b": {"runs": False}, "c": {}, "d": {"runs": False}, "e": {}}
    status, output, order = roll(tmp_path, hosts, "-e", '{"ppocr_serial": [1, "100%"]}')
    assert status == 0 and order == ["b+d", "a", "c+e"], output
    assert "a: done" in output and released(output) == set("abcde")


def test_a_failure_ends_the_rollout(tmp_path: Path) -> None:
    status, output, order = roll(tmp_path, {"a": {}, "b": {"fails": True}, "c": {}, "d": {}})
    assert status == 2 and order == ["a", "b"], output
    assert "b was not updated (" in output and "no luck. none at all" in output
    assert "c, d stayed as before" in output and "c: not updated" in output
    assert released(output) == set("abcd")


@pytest.mark.parametrize("fault", first_by_default(["fails", "lost"]))
def test_a_batch_switches_together_or_not_at_all(tmp_path: Path, fault: str) -> None:
    hosts: dict[str, dict] = {"a": {}, "b": {}, "c": {fault: True}, "d": {}, "e": {}}
    status, output, order = roll(tmp_path, hosts, "-e", "ppocr_serial=2")
    assert status and order == ["a+b", "c+d"], output
    switched = re.findall(r"TASK \[hubserving : SWITCH\] \*+ ((?:\w+: \[\w+\] )+)", output)
    assert [set(re.findall(r"\[(\w)\]", each)) for each in switched] == [{"a", "b"}]
    assert "c failed, and the hosts of a batch change together (ppocr_serial)" in output
    assert "d: FAILED" in output and "e: not updated" in output


@pytest.mark.full
def test_a_host_that_is_lost_ends_the_rollout(tmp_path: Path) -> None:
    status, output, order = roll(tmp_path, {"a": {"lost": True}, "b": {}, "c": {}})
    assert status == 4 and order == ["a"], output
    assert "a: lost during the update" in output and "b: not updated" in output
    assert released(output) == set("bc")


@pytest.mark.full
def test_tags_choose_the_parts(tmp_path: Path) -> None:
    status, output, order = roll(tmp_path, {"a": {}, "b": {}}, "--tags", "smoke_test")
    assert status == 0 and order == [] and "smoke_test : TEST" in output
    status, output, order = roll(tmp_path, {"a": {}, "b": {}}, "--tags", "hubserving")
    assert status == 0 and order == ["a", "b"] and "smoke_test : TEST" not in output
    status, output, order = roll(tmp_path, {"a": {}, "b": {}}, "--skip-tags", "smoke_test")
    assert status == 0 and order == ["a", "b"] and "smoke_test : TEST" not in output


LOOP = f"""
- hosts: ppocr_hosts
  gather_facts: false
  vars: {{hubserving_instances: []}}
  vars_files: [{ROOT / "roles/hubserving/vars/main/main.yml"}]
  tasks:
    - ansible.builtin.set_fact:
        _hubserving_defaults: {{name: ppocr, params: "{{{{ params }}}}"}}
    - ansible.builtin.include_tasks: one.yml
      loop: "{{{{ _hubserving_names }}}}"
      loop_control: {{loop_var: __hubserving_name}}
"""
ONE = """
- ansible.builtin.set_fact:
    begun: "{{ __hubserving_instance.params }}"
- ansible.builtin.debug:
    msg: "{{ inventory_hostname }} sees {{ hostvars.a.begun }}, {{ hostvars.b.begun }}."
"""


def test_hosts_with_other_settings_go_through_the_same_tasks_together(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(ONE)
    here = {"ansible_connection": "local"}
    hosts = {"a": {**here, "params": "one"}, "b": {**here, "params": "two"}}
    status, output = run_play(tmp_path, LOOP, hosts)
    assert status == 0, output
    assert "a sees one, two." in output and "b sees one, two." in output
    tasks = (ROOT / "roles/hubserving/tasks").glob("*.yml")
    assert not [
        path.name for path in tasks if 'loop: "{{ _hubserving_instances }}' in path.read_text()
    ]


PROVE = f"""
- hosts: ppocr_hosts
  gather_facts: false
  vars:
    hubserving_instances: [{{name: det, port: 1}}, {{name: rec, port: 2}}]
    __hubserving_proven_slot: a
  vars_files: [{ROOT / "roles/hubserving/vars/main/main.yml"}]
  tasks:
    - ansible.builtin.include_tasks: {ROOT}/roles/hubserving/tasks/prove.yml
      loop: [det, rec]
      loop_control: {{loop_var: __hubserving_name}}
    - ansible.builtin.debug: {{msg: "{{{{ hubserving_tested | join('+') }}}} tested."}}
"""


def test_a_given_url_is_that_of_the_first_instance(tmp_path: Path) -> None:
    for path in ("edge/tasks/candidate.yml", "smoke_test/tasks/main.yml"):
        (tmp_path / "roles" / path).parent.mkdir(parents=True)
        (tmp_path / "roles" / path).write_text("- ansible.builtin.debug: {msg: here}\n")
    (tmp_path / "vars.yml").write_text("_hubserving_defaults: {}\n")
    play = PROVE.replace("main.yml]", f"main.yml, {tmp_path}/vars.yml]")
    host = {"ansible_connection": "local"}
    for url, tested in (("", "det+rec"), ("https://ocr.example:1", "det")):
        status, output = run_play(tmp_path, play, {"a": {**host, "smoke_test_url": url}})
        assert status == 0 and f"{tested} tested." in output, output
