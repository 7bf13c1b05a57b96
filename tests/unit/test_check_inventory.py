"""Inventories that cannot be used: named with file and line before ansible-playbook starts."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from role_code import ROOT, load

check = load("scripts/lib/check_inventory.py")
HOSTS = "ppocr_hosts:\n  hosts:\n    h1:\n"
VAULT = "$ANSIBLE_VAULT;1.1;AES256\n6161\n"
INLINE = "hubserving_name: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6161\n"


def made(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"hosts.yml": HOSTS + "  vars: {a: 1\n"}, "hosts.yml, line 5, column 1: this is not YAML"),
        ({"hosts.yml": HOSTS, "group_vars/all.yml": "a: 1\n\tb: 2\n"}, "all.yml, line 2, column 1"),
        ({"hosts.yml": HOSTS, "host_vars/h1/own": "a: [1\nb: 2"}, "host_vars/h1/own, line 2"),
        ({"hosts.yml": HOSTS, "group_vars/all.yml": "a: b: c"}, "all.yml, line 1, column 5"),
        ({"hosts.yml": HOSTS, "group_vars/all.yml": VAULT}, "all.yml contains a vault"),
        ({"hosts.yml": HOSTS, "group_vars/all.yml": INLINE}, "add --ask-vault-pass"),
        ({"group_vars/all.yml": "a: 1"}, "has no file with hosts"),
        ({".hidden": "x"}, "has no file with hosts"),
        ({"hosts.yml": HOSTS, "group_vars/all.yml": "a: !unsafe 'x{{'\n"}, ""),
        ({"hosts": "[ppocr_hosts]\nh1 a=1\n"}, ""),
    ],
)
def test_each_error_names_the_file_and_the_remedy(tmp_path: Path, files: dict, says: str) -> None:
    found = check.problems(["-i", str(made(tmp_path, files))], {}, ROOT)
    assert [says in problem for problem in found] == ([True] if says else [])


def test_a_file_is_read_with_the_variables_beside_it(tmp_path: Path) -> None:
    made(tmp_path, {"hosts.yml": HOSTS, "group_vars/all.yml": "a: [", "other.yml": "a: ["})
    (problem,) = check.problems(["--inventory", str(tmp_path / "hosts.yml"), "-v"], {}, ROOT)
    assert "group_vars/all.yml" in problem


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    found = check.problems(["-i", "no/such", "--check", "-e", f"@{tmp_path}/x.yml"], {}, ROOT)
    assert "the inventory no/such does not exist" in found[0] and "inventory/example" in found[0]
    assert "x.yml: the file does not exist" in found[1]


@pytest.mark.parametrize(
    "given",
    [
        ["--ask-vault-pass"],
        ["-J"],
        ["-KJ"],
        ["-bKJ"],
        ["--vault-id", "a@b"],
        ["--vault-password-file=x"],
    ],
)
def test_a_vault_with_a_password_is_let_through(tmp_path: Path, given: list[str]) -> None:
    made(tmp_path, {"hosts.yml": HOSTS, "group_vars/all.yml": VAULT})
    assert check.problems(["-i", str(tmp_path), *given], {}, ROOT) == []


def test_a_password_may_be_asked_for_by_a_variable(tmp_path: Path) -> None:
    made(tmp_path, {"hosts.yml": HOSTS, "group_vars/all.yml": VAULT})
    for value, refused in (("True", False), ("1", False), ("no", True), ("", True)):
        environment = {"ANSIBLE_ASK_VAULT_PASS": value}
        assert bool(check.problems(["-i", str(tmp_path)], environment, ROOT)) is refused


def test_options_in_one_word() -> None:
    for given in (["-Ki", "no/such"], ["-bKino/such"], ["-vvv", "-i", "no/such"]):
        assert "no/such" in check.problems(given, {}, ROOT)[0]


def test_hosts_given_as_a_list_and_the_projects_own_inventories_pass() -> None:
    for given in (["-i", "h1,h2"], [], ["-i", str(ROOT / "inventory/example")]):
        assert check.problems(given, {}, ROOT) == []


def deploy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """scripts/deploy with an ansible-playbook that prints what it was started with."""
    binaries = folder / "venv/bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(Path(sys.executable).resolve())
    (folder / "venv/lib").symlink_to(Path(sys.prefix) / "lib")
    (folder / "venv/pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    fake = binaries / "ansible-playbook"
    fake.write_text('#!/bin/sh\necho "ssh: $ANSIBLE_SSH_EXTRA_ARGS"\nprintf "<%s>" "$@"\n')
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    project = folder / "project"
    for name in ("scripts/lib", "requirements", "inventory/local"):
        (project / name).mkdir(parents=True)
    environment = f"PPOCR_VENV={folder}/venv\nPATH=$PPOCR_VENV/bin:$PATH\n"
    environment += 'ppocr_exec() { tool=$PPOCR_VENV/bin/$1; shift; exec "$tool" "$@"; }\n'
    made(project, {"scripts/lib/env.sh": environment})
    for name in ("scripts/deploy", "scripts/lib/check_inventory.py", "inventory/local/hosts.yml"):
        (project / name).write_text((ROOT / name).read_text())
    return subprocess.run(
        ["sh", project / "scripts/deploy", *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_deploy_takes_new_host_keys_when_asked(tmp_path: Path) -> None:
    done = deploy(tmp_path, "-e", "a=b c", "--accept-new-host-keys", "--check")
    assert "StrictHostKeyChecking=accept-new" in done.stdout, done.stderr
    assert "<-e><a=b c><--check>" in done.stdout


def test_deploy_does_not_otherwise(tmp_path: Path) -> None:
    done = deploy(tmp_path, "--check")
    assert "ssh: \n" in done.stdout and "<--check>" in done.stdout


def test_deploy_stops_at_a_wrong_inventory(tmp_path: Path) -> None:
    done = deploy(tmp_path, "-i", "no/such")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: the inventory no/such does not exist")


def test_first_contact_says_the_remedy_once(tmp_path: Path) -> None:
    """Two hosts whose keys are not known: one sentence after the recap names both."""
    made(tmp_path, {"play.yml": "- hosts: all\n  gather_facts: false\n  tasks: [{ping: }]\n"})
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n")
    ssh.chmod(0o755)
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "h1,h2", tmp_path / "play.yml"],
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "PPOCR_ROOT": str(ROOT),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_SSH_EXECUTABLE": str(ssh),
            "ANSIBLE_SSH_RETRIES": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    recap = done.stdout.partition("PLAY RECAP")[2]
    assert done.returncode == 4
    assert recap.count("h1, h2: the host's key is not among the known hosts") == 1, done.stdout
    assert "scripts/deploy --accept-new-host-keys" in recap and "ssh-keyscan HOST" in recap
