"""The ssh command as this project calls it, and what is made of its words. A stand-in plays ssh."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ppocr_control.errors import Error, LinkLost, Refused, Unreachable
from ppocr_control.messages.catalogue import Entry, entries
from ppocr_control.ssh.host import SshHost
from ppocr_control.ssh.openssh import Connection, Login, split_host

COPY = Path(__file__).parents[2] / "scripts/copy_files.py"
#: Logs in to a folder: a command runs in it, with what the test put into bin/ first on its PATH.
SSH = """\
#!/bin/sh
printf '%s\\n' "$*" >>"$FAKE/calls"
for last; do :; done
case " $* " in
  *" -G "*) printf 'hostname 192.0.2.7\\nstricthostkeychecking ask\\n'; cat "$FAKE/more"; exit ;;
  *" -O check "*) [ -e "$FAKE/up" ] || exit 255; exit 0 ;;
  *" -O exit "*) rm -f "$FAKE/up"; exit 0 ;;
  *" -fN "*) [ ! -s "$FAKE/refusal" ] || { cat "$FAKE/refusal" >&2; exit 255; }; : >"$FAKE/up"; exit 0 ;;
esac
cd "$FAKE/home" || exit 255
cat "$FAKE/noise"
HOME=$FAKE/home PATH=$FAKE/home/bin:$PATH exec sh -c "$last"
"""  # noqa: E501


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in's folder: home is the host, more adds settings, refusal ends the login."""
    folder = tmp_path / "fake"
    for name in ("bin", "home/bin"):
        (folder / name).mkdir(parents=True)
    for name in ("more", "refusal", "noise", "calls"):
        (folder / name).touch()
    (folder / "bin/ssh").write_text(SSH)
    (folder / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize("entry", entries("access"), ids=lambda entry: entry.id)
def test_refusals_have_their_remedies(fake: Path, entry: Entry) -> None:
    may_pass = entry.id in ("ssh-no-answer", "ssh-name-service", "ssh-sessions")
    for sample in entry.samples:
        (fake / "refusal").write_text(sample)
        with pytest.raises(Unreachable, match="web1.*" + re.escape(entry.advice())) as reported:
            SshHost("web1", Login(sudo="no")).run("echo")
        assert isinstance(reported.value, LinkLost) is may_pass


def test_an_unknown_key_is_named_by_its_host(fake: Path) -> None:
    (fake / "refusal").write_text("No ED25519 host key is known for gate and you have requested it")
    with pytest.raises(Unreachable, match=r"web1 \(gate\): the host's key is not among the known"):
        SshHost("web1", Login(sudo="no")).run("echo")


def test_what_ssh_never_said_before_may_pass(fake: Path) -> None:
    (fake / "refusal").write_text("something new")
    with pytest.raises(LinkLost, match="web1 cannot be reached: something new"):
        SshHost("web1", Login(sudo="no")).run("echo")


def test_the_users_settings_stay_and_missing_ones_are_set(fake: Path) -> None:
    (fake / "more").write_text("connecttimeout 5\nserveraliveinterval 7\nremotecommand zsh\n")
    host = SshHost("ops@web1:2222", Login(sudo="no", jump="gate"))
    with host:
        assert host.run("echo hi").out == "hi\n"
        assert host.address == "192.0.2.7"
    login = next(line for line in (fake / "calls").read_text().splitlines() if "-fN" in line)
    assert "ConnectTimeout" not in login and "ServerAlive" not in login
    assert "-oRemoteCommand=none" in login and "-oStrictHostKeyChecking=yes" in login
    assert "-l ops -p 2222 -J gate" in login and login.endswith("-- web1")


def test_a_password_is_in_no_argument_and_left_in_no_file(fake: Path) -> None:
    word = "hunter2"
    with SshHost("web1", Login(sudo="no", password=word)) as host:
        host.run("true")
        folder = host._connection._folder
        assert folder and folder.stat().st_mode & 0o777 == 0o700
        assert not (folder / "password").exists()
    assert not folder.exists()
    assert word not in (fake / "calls").read_text()


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "ops@-x", "[::1", "a b"])
def test_no_host_is_an_option(name: str) -> None:
    with pytest.raises(Refused):
        split_host(name)


def test_without_ssh_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="openssh-client"):
        Connection("web1", Login()).open()
    with pytest.raises(Refused, match="the SSH configuration .* does not exist"):
        monkeypatch.undo()
        Connection("web1", Login(config=tmp_path / "none")).open()


def test_a_login_shell_that_is_none_is_named(fake: Path) -> None:
    (fake / "noise").write_text("This account is currently not available.\n")
    (fake / "home/bin/dd").write_text("#!/bin/sh\nexit 1\n")
    (fake / "home/bin/dd").chmod(0o755)
    with pytest.raises(Unreachable, match="runs no command for this user.*not available"):
        SshHost("web1", Login(sudo="no")).run("true")


def test_a_link_that_breaks_in_mid_script_is_lost(fake: Path) -> None:
    with SshHost("web1", Login(sudo="no")) as host, pytest.raises(LinkLost):
        host.run("kill -9 $PPID $$; sleep 9")


def test_exit_statuses_and_bytes_are_the_scripts(fake: Path) -> None:
    (fake / "noise").write_text("hello\nuid=0\nno line end")
    data = bytes(range(256)) * 9000
    with SshHost("web1", Login(sudo="no")) as host:
        answer = host.run("echo out; echo err >&2; exit 255")
        assert (answer.status, answer.out, answer.err) == (255, "out\n", "err\n")
        host.put(iter([data[:70_000], data[70_000:]]), "it's a\nfile", 0)
        assert (fake / "home/it's a\nfile").read_bytes() == data
        assert b"".join(host.read("it's a\nfile", 300)) == data[300:]
        with pytest.raises(Error, match="No such file"):
            list(host.read("nothing", 0))


# --- copy_files.py


Copy = Callable[..., tuple[int, dict]]


@pytest.fixture
def copy(fake: Path, tmp_path: Path) -> Copy:
    def run(*arguments: str) -> tuple[int, dict]:
        command = [sys.executable, str(COPY), "--json", "--quiet", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def stub(fake: Path, name: str, script: str = "exit 1") -> None:
    (fake / "home/bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (fake / "home/bin" / name).chmod(0o755)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'sha256sum: secret: Permission denied' >&2; exit 1", "Permission denied"),
        ("exit 127", "exit status 127"),
        ("exit 0", "printed no digest"),
    ],
)
def test_a_file_without_a_sum_is_equal_to_nothing(
    copy: Copy, fake: Path, tmp_path: Path, script: str, words: str
) -> None:
    (fake / "home/secret").write_text("secret")
    stub(fake, "sha256sum", script)
    status, output = copy("hb:secret", "./s.txt")
    assert status == 1 and output["same"] == output["copied"] == 0
    assert words in output["failed"][0] and "hb: " in output["failed"][0]
    assert not (tmp_path / "s.txt").exists()
    (tmp_path / "mine").write_text("mine")
    status, output = copy("mine", "hb:theirs")
    assert status == 1 and words in output["failed"][0]


def test_a_file_that_vanishes_is_named_and_the_rest_copied(
    copy: Copy, fake: Path, tmp_path: Path
) -> None:
    (fake / "home/d").mkdir()
    for name in "abc":
        (fake / "home/d" / name).write_text(name)
    stub(fake, "sha256sum", f"rm -f '{fake}/home/d/b'; exec /usr/bin/sha256sum")
    status, output = copy("hb:d", "d")
    assert status == 1 and output["copied"] == 2 and len(output["failed"]) == 1
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["a", "c"]


NAMES = [
    "a b", "-dash.txt", "~", "*.txt", "q'\"`uote", "new\nline", ".dot", "$(touch x)", "n" * 255,
    os.fsdecode(b"lat\xe9"), "back\\slash", "a:b",
]  # fmt: skip


@pytest.mark.parametrize("way", ["to", "from"])
def test_a_folder_is_copied_as_scp_does(copy: Copy, fake: Path, tmp_path: Path, way: str) -> None:
    near, far = tmp_path / "d", fake / "home/d"
    source = near if way == "to" else far
    source.mkdir(mode=0o750)
    for name in NAMES:
        (source / name).write_text(name, errors="surrogateescape")
    (source / "empty").mkdir()
    elsewhere = source.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "y").write_text("y")
    (source / "file").symlink_to(elsewhere / "y")
    (source / "folder").symlink_to(elsewhere)
    (source / "none").symlink_to("nowhere")
    (elsewhere / "loop").symlink_to(source)
    os.mkfifo(source / "fifo")
    status, output = copy(*(("d", "hb:new") if way == "to" else ("hb:d", "new")))
    there = (fake / "home" if way == "to" else tmp_path) / "new"
    assert status == 1 and output["copied"] == len(NAMES) + 2
    reported = "\n".join(output["failed"])
    assert "d/none: a link to nothing" in reported and "d/fifo: a FIFO" in reported
    assert len(output["failed"]) == 3 and "d/folder/loop" in reported
    for name in NAMES:
        assert (there / name).read_text(errors="surrogateescape") == name
    assert (there / "empty").is_dir() and (there / "folder/y").read_text() == "y"
    assert not (there / "file").is_symlink() and (there / "file").read_text() == "y"
    assert there.stat().st_mode & 0o777 == source.stat().st_mode & 0o777
    assert not list(there.glob(".*.part"))


def test_paths_are_read_as_the_shell_does(copy: Copy, fake: Path, tmp_path: Path) -> None:
    home = fake / "home"
    (tmp_path / "-dash").write_text("1")
    assert copy("--", "-dash", "hb:-dash")[0] == 0 and (home / "-dash").exists()
    assert copy("--", "-dash", "hb:~/deep/x")[0] == 0 and (home / "deep/x").exists()
    assert copy("--", "-dash", "hb:")[1]["same"] == 1
    assert copy("hb:-dash", "./there/")[0] == 0 and (tmp_path / "there/-dash").exists()
    assert not (home / "~").exists()
    status, output = copy("--", "-dash", "hb:~nobody-of-that-name/x")
    assert status == 3 and "no user" in output["error"]
    (home / "link").symlink_to("deep/x")
    (tmp_path / "new").write_text("new")
    assert copy("new", "hb:link")[0] == 0 and (home / "link").is_symlink()
    assert (home / "deep/x").read_text() == "new"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hb:none", "x"), "hb:none does not exist"),
        (("hb:*.txt", "x"), "patterns are not expanded"),
        (("hb:/dev/null", "x"), "is a device"),
        (("file", "hb:/dev/null"), "is a device"),
        (("file/", "hb:x"), "file/ does not exist"),
        (("folder", "hb:theirs"), "is a file, and a folder is needed there"),
        (("file", "file", "hb:theirs"), "is not a folder"),
        (("fifo", "hb:x"), "is a FIFO"),
        (("none", "hb:x"), "none does not exist"),
    ],
)
def test_what_is_no_copy_is_refused(
    copy: Copy, fake: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "file").write_text("1")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (fake / "home/theirs").write_text("2")
    status, output = copy(*arguments)
    assert status == 3 and words in output["error"]
    assert (fake / "home/theirs").read_text() == "2"
