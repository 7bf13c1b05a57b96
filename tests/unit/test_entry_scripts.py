"""What a person starts works wherever this project lies and whatever locale they brought along."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiers import for_full

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements/control.lock"
SUM = hashlib.sha256(LOCK.read_bytes()).hexdigest()
COPIED = (
    "ansible.cfg",
    "inventory",
    "playbooks",
    "plugins",
    "pyproject.toml",
    "requirements",
    "roles",
    "scripts",
    "src",
    "images",
)
# One host that refuses at once: a run gets as far as Ansible and SSH, and changes nothing.
NOBODY = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_retries": 0}


def copy(target: Path) -> Path:
    """The project in another folder."""
    for name in COPIED:
        origin = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        target.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, target / name, ignore=ignored)
        else:
            shutil.copy(origin, target / name)
    return target


def environment(folder: Path, made_in: Path | None = None) -> Path:
    """A folder env.sh takes for the environment it made, with the packages of this one."""
    real = Path(sys.prefix)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").symlink_to(Path(sys.executable).resolve())
    shutil.copy(real / "bin/ansible-playbook", folder / "bin")
    (folder / "lib").symlink_to(real / "lib")
    config = (real / "pyvenv.cfg").read_text().splitlines()
    kept = [line for line in config if not line.startswith("command")]
    command = f"command = python -m venv --clear {made_in or folder}"
    (folder / "pyvenv.cfg").write_text("\n".join([*kept, command]) + "\n")
    (folder / ".lock.sha256").write_text(f"{SUM} control.lock and src\n")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A user's cache in which the environment is made already."""
    folder = tmp_path / "cache"
    environment(folder / f"venv-{SUM[:12]}")
    return folder


def start(*command: object, **variables: str | Path | None) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of the environment around it but what is given."""
    kept = {key: os.environ[key] for key in ("HOME", "PATH") if key in os.environ}
    # An environment on PATH is another way to find the tools, and not the one that is tried.
    kept["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    kept |= {"LC_ALL": "C.UTF-8", "PPOCR_PYTHON": str(Path(sys.executable).resolve())}
    wanted = {**kept, **variables}
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=300,
        env={key: str(value) for key, value in wanted.items() if value is not None},
    )  # fmt: skip


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps({"ppocr_hosts": {"hosts": {"nobody": NOBODY}}}))
    return path


def reaches_the_host(done: subprocess.CompletedProcess[str]) -> None:
    """The run has read the playbook, and SSH has reported that the host is unreachable."""
    output = done.stdout + done.stderr
    assert "nobody: the host cannot be reached" in done.stdout, output
    assert "Connection refused" in output.replace("\n", " ")
    assert "locale" not in output


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "zh_CN.UTF-8", "LANG": "zh_CN.UTF-8"},
        {"LC_ALL": None, "LANG": "zh_CN.UTF-8"},
        {"LC_ALL": None, "LANG": "C.UTF-8", "LC_TIME": "zh_CN.UTF-8"},
        {"LC_ALL": "C"},
        {"LC_ALL": None, "LC_CTYPE": "zh_CN.GB18030"},
        {"LC_ALL": "no-such"},
    ],
    ids=json.dumps,
)
def test_a_locale_that_is_not_here_is_no_hindrance(
    tmp_path: Path, cache: Path, variables: dict[str, str | None]
) -> None:
    done = start(
        copy(tmp_path / "a checkout") / "scripts/run", "ansible-playbook", "--version",
        **{"PPOCR_CACHE": cache, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ansible-playbook ")


@pytest.mark.full
def test_deploy_runs_from_a_path_with_a_blank_under_a_chinese_locale(
    tmp_path: Path, cache: Path, inventory: Path
) -> None:
    chinese = {"LANG": "zh_CN.UTF-8", "LC_ALL": "zh_CN.UTF-8", "LANGUAGE": "zh_CN:zh"}
    project = copy(tmp_path / "一个 folder")
    before = sorted(project.rglob("*"))
    done = start(
        project / "scripts/deploy", "-i", inventory, "--check", PPOCR_CACHE=cache, **chinese
    )
    reaches_the_host(done)
    assert sorted(project.rglob("*")) == before


ODD = ["a b"]
ODDER = ["it's", "a;b", 'say "x"', "a&b", "a(b)", "a:b", "a*b"]


@pytest.mark.parametrize("name", [*ODD, *for_full(*ODDER)])
def test_a_path_the_shell_reads_otherwise_is_no_hindrance(
    tmp_path: Path, cache: Path, name: str
) -> None:
    project = copy(tmp_path / name)
    done = start(project / "scripts/deploy", "--syntax-check", PPOCR_CACHE=cache)
    assert done.returncode == 0, done.stderr
    assert "deploy.yml" in done.stdout
    for script in ("ship_image.py", "verify_bundle.py"):
        done = start(project / "scripts" / script, "--help", PPOCR_CACHE=cache)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["a,b", "a$HOME", "a{{b}}"])
def test_a_path_ansible_cannot_read_is_named(tmp_path: Path, cache: Path, name: str) -> None:
    done = start(copy(tmp_path / name) / "scripts/deploy", "--syntax-check", PPOCR_CACHE=cache)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "move or rename the folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.full
def test_it_is_found_through_links(tmp_path: Path) -> None:
    project = copy(tmp_path / "project")
    environment(project / ".venv")
    (tmp_path / "linked").symlink_to(project)
    (tmp_path / "bin").mkdir()
    for name in ("deploy", "ship_image.py"):
        (tmp_path / "bin" / name).symlink_to(tmp_path / "linked/scripts" / name)
    for command in ("linked/scripts/deploy", "bin/deploy"):
        done = start(tmp_path / command, "--syntax-check")
        assert done.returncode == 0, done.stderr
        assert "preparing" not in done.stderr
    done = start(tmp_path / "bin/ship_image.py", "--help")
    assert done.returncode == 0, done.stderr


def test_an_environment_that_was_moved_is_made_anew(tmp_path: Path) -> None:
    project = copy(tmp_path / "renamed")
    environment(project / ".venv", made_in=tmp_path / "before/.venv")
    empty = tmp_path / "no wheels"
    empty.mkdir()
    done = start(project / "scripts/deploy", "--syntax-check", PPOCR_WHEELHOUSE=empty)
    assert done.returncode == 1
    assert "preparing the control node's Python environment" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: pip could not install")
    assert f"{empty} has to hold the packages for Python 3." in last


def mounted(folder: Path, option: str, *command: object, **variables: str | Path) -> str:
    """What a command says in a folder that is mounted read-only or noexec."""
    script = f'mount --bind "$0" "$0" && mount -o remount,bind,{option} "$0" && exec "$@"'
    done = start("unshare", "--mount", "sh", "-c", script, folder, *command, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _can_mount() -> bool:
    done = subprocess.run(
        ["unshare", "--mount", "mount", "--bind", "/usr", "/usr"], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.mark.skipif(not _can_mount(), reason="mounts, which takes root")
@pytest.mark.parametrize("option", ["ro", "noexec"])
def test_a_medium_that_cannot_hold_an_environment_is_no_hindrance(
    tmp_path: Path, cache: Path, option: str
) -> None:
    project = copy(tmp_path / "medium/project")
    deploy = ("sh", project / "scripts/deploy", "--syntax-check")
    output = mounted(project.parent, option, *deploy, PPOCR_CACHE=cache)
    assert "deploy.yml" in output
    assert not (project / ".venv").exists()
    work = ("sh", project / "scripts/run", "sh", "-c", 'echo "$PPOCR_WORK_DIR"')
    expected = cache if option == "ro" else project
    assert mounted(project.parent, option, *work, PPOCR_CACHE=cache).strip() == str(expected)


def test_a_bundle_stays_as_it_was_signed(tmp_path: Path, cache: Path) -> None:
    project = copy(tmp_path / "bundle/project")
    (project.parent / "MANIFEST.json").write_text("{}")
    (project / "json.py").write_text("raise SystemExit('planted')")
    before = sorted(project.parent.rglob("*"))
    for command in (
        ["deploy", "--syntax-check"],
        ["verify_bundle.py", "--help"],
        ["run", "python", "-c", "import os; print(os.environ['PPOCR_WORK_DIR'])"],
    ):
        done = subprocess.run(
            [str(project / "scripts" / command[0]), *command[1:]], cwd=project, check=False,
            capture_output=True, text=True,
            env={"PATH": "/usr/bin:/bin", "PPOCR_CACHE": str(cache), "PYTHONPATH": f":{project}"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(cache)
    assert sorted(project.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HOME": None}, "HOME is not set"),
        ({"HOME": "/proc/none"}, "nor in /proc/none/.cache/ppocr"),
        ({"PPOCR_VENV": "/proc/none/venv"}, "/proc/none cannot be written"),
        ({"PPOCR_VENV": "/srv/my venv"}, "has a blank or a colon in it"),
    ],
)
def test_no_place_for_an_environment_is_said_in_one_sentence(
    tmp_path: Path, variables: dict[str, str | None], words: str
) -> None:
    done = start(copy(tmp_path / "a b") / "scripts/deploy", "--syntax-check", **variables)
    assert done.returncode == 1
    assert words in done.stderr
    assert "PPOCR_VENV" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def _own_files(folder: Path) -> None:
    (folder / "letter.txt").write_text("mine")


def _own_environment(folder: Path) -> None:
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")


@pytest.mark.parametrize("fill", [_own_files, _own_environment])
def test_a_folder_with_other_files_is_not_emptied(
    tmp_path: Path, fill: Callable[[Path], None]
) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    fill(folder)
    before = list(folder.iterdir())
    done = start(copy(tmp_path / "co") / "scripts/deploy", "--syntax-check", PPOCR_VENV=folder)
    assert done.returncode == 1
    assert "holds files this project did not make" in done.stderr
    assert list(folder.iterdir()) == before


def test_a_command_finds_its_environment_from_any_python(tmp_path: Path, cache: Path) -> None:
    script = copy(tmp_path / "project dir") / "scripts/ship_image.py"
    done = start(sys._base_executable, script, "--help", PPOCR_CACHE=cache)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ship_image.py [-h]")


def test_a_command_in_an_environment_that_lacks_packages_says_so(tmp_path: Path) -> None:
    folder = environment(tmp_path / "venv")
    (folder / "lib").unlink()
    (folder / "lib").mkdir()
    script = copy(tmp_path / "project") / "scripts/ship_image.py"
    done = start(sys._base_executable, script, "--help", PPOCR_VENV=folder)
    assert done.returncode == 1
    assert done.stderr == f"error: the Python environment {folder} is not complete: remove it\n"
