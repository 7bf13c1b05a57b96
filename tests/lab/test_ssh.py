"""Logging in as ssh does: its configuration, its refusals, and what a login shell prints."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import parcel
import pytest
from hostlab import Host, HostSpec, Playbooks
from hostlab.playbook import words
from parcel import Shipper
from test_host_roles import PLAY, refused

ONE = "parcel:ssh"
SUDOERS = "/etc/sudoers.d/zz-test"


@pytest.fixture(scope="module")
def pair(lab) -> list[Host]:
    return lab.hosts(HostSpec("jump"), HostSpec("inner", user="ops", port=2222))


@pytest.fixture
def inner(pair: list[Host]) -> Host:
    return pair[1]


@pytest.fixture
def ship(pair: list[Host], tmp_path: Path) -> Shipper:
    parcel.image(ONE, [parcel.noise(1, 8), b"one"])
    return Shipper(tmp_path, pair)


class Copier:
    """scripts/copy_files.py with an SSH configuration of its own."""

    def __init__(self, folder: Path, host: Host) -> None:
        self.folder = folder / "with a space"
        self.folder.mkdir()
        self.host, self.config = host, self.folder / "config"
        (self.folder / "file").write_text("what is copied")
        self.key = self.folder / "key"
        self.key.touch(mode=0o600)
        self.key.write_bytes(host.key.read_bytes())
        self.known = self.folder / "known hosts"
        self.known.write_text(host.keys.known_hosts(host.name).read_text())

    def public(self) -> list[str]:
        """The host's public keys, without a name before them."""
        return [line.partition(" ")[2] for line in self.known.read_text().splitlines()]

    def configure(self, *lines: str, host: str = "web") -> None:
        """A configuration that names the host; the lines come first, so they decide."""
        rest = (
            f"  HostName {self.host.address}\n  Port {self.host.port}\n  User ops\n"
            f'  IdentityFile "{self.key}"\n  UserKnownHostsFile "{self.known}"\n'
        )
        self.config.write_text("".join(f"{line}\n" for line in lines) + f"Host {host}\n{rest}")

    def __call__(
        self, *options: str, to: str = "web:", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        script = str(parcel.SCRIPTS / "copy_files.py")
        return subprocess.run(
            [
                sys.executable, script, str(self.folder / "file"), to, "-F", str(self.config),
                "--quiet", *options,
            ],
            capture_output=True, text=True, check=False, env=os.environ | (env or {}), timeout=120,
        )  # fmt: skip

    def works(self, *options: str, env: dict[str, str] | None = None) -> None:
        """Copy, and look whether it is there."""
        self.host.run("rm -f /home/ops/file")
        done = self(*options, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert self.host.read("/home/ops/file") == "what is copied"

    def fails(self, *texts: str, options: tuple[str, ...] = (), to: str = "web:") -> None:
        """Fail unless the host is not reached, in one sentence with all of texts."""
        done = self(*options, to=to)
        assert done.returncode == 4, done.stdout + done.stderr
        assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
        for text in texts:
            assert text in done.stderr


@pytest.fixture
def copier(inner: Host, tmp_path: Path) -> Copier:
    return Copier(tmp_path, inner)


# --- a configuration means what it means to ssh


def test_included_files_and_quoted_paths(copier: Copier) -> None:
    copier.configure(host="web")
    copier.config.rename(copier.folder / "more config")
    copier.config.write_text(f'Include "{copier.folder}/more conf*"\n')
    copier.works()


def test_a_key_known_by_an_alias(copier: Copier) -> None:
    copier.known.write_text("".join(f"the-alias {key}\n" for key in copier.public()))
    copier.configure("Host web", "  HostKeyAlias the-alias")
    copier.works()


def test_no_jump_for_one_host_of_all(copier: Copier) -> None:
    copier.configure("Host web", "  ProxyJump none", "Host *", "  ProxyJump nowhere.invalid")
    copier.works()


def test_matches_final_and_exec(copier: Copier) -> None:
    copier.configure(
        "Host short", f"  HostName {copier.host.address}",
        f'Match final host {copier.host.address} exec "test -d /etc"',
        f"  Port {copier.host.port}", "  User ops", f'  IdentityFile "{copier.key}"',
        f'  UserKnownHostsFile "{copier.known}"', host="other",
    )  # fmt: skip
    done = copier(to="short:")
    assert done.returncode == 0, done.stderr


def test_settings_that_have_to_do_with_sessions_do_no_harm(copier: Copier) -> None:
    copier.configure(
        "Host web", "  RemoteCommand exit 7", "  RequestTTY force", "  LogLevel QUIET",
        "  LocalForward 22 127.0.0.1:22", "  StdinNull yes", "  PermitLocalCommand yes",
        "  LocalCommand echo hello", "  ControlMaster auto", "  StrictHostKeyChecking ask",
        f'  ControlPath "{copier.folder}/%C"',
    )  # fmt: skip
    copier.works()


def test_through_a_command(copier: Copier, pair: list[Host]) -> None:
    way = " ".join(pair[0].ssh_command())
    copier.configure("Host web", f"  ProxyCommand {way} -W %h:%p")
    copier.works()


def test_a_jump_host_whose_key_is_unknown_is_named(copier: Copier, pair: list[Host]) -> None:
    copier.configure("Host web", f"  ProxyJump root@{pair[0].address}")
    copier.fails("not among the known hosts", pair[0].address)
    known = pair[0].keys.known_hosts("jump").read_text()
    copier.known.write_text(copier.known.read_text() + known)
    with copier.config.open("a") as config:
        config.write(
            f"Host {pair[0].address}\n  User root\n"
            f'  IdentityFile "{copier.key}"\n  UserKnownHostsFile "{copier.known}"\n'
        )
    copier.works()


@pytest.mark.full
def test_an_agent_and_a_connection_that_is_there(copier: Copier) -> None:
    sock = copier.folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL)
    try:
        add = ["ssh-add", "-q", str(copier.key)]
        while not sock.exists():
            assert agent.poll() is None
        subprocess.run(add, check=True, env=os.environ | {"SSH_AUTH_SOCK": str(sock)})
        copier.key.unlink()
        copier.configure("Host web", f'  IdentityAgent "{sock}"')
        copier.works()
        copier.configure(
            "Host web", f'  IdentityAgent "{sock}"', f'  ControlPath "{copier.folder}/own"',
            "  ControlPersist 60",
        )  # fmt: skip
        own = ["ssh", "-F", str(copier.config)]
        subprocess.run([*own, "-fNM", "web"], check=True, stderr=subprocess.DEVNULL)
    finally:
        agent.terminate()
        agent.wait()
    try:
        copier.works()  # nobody holds a key now
        subprocess.run([*own, "-O", "check", "web"], check=True, stderr=subprocess.DEVNULL)
    finally:
        subprocess.run([*own, "-O", "exit", "web"], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.full
def test_certificates_of_hosts_and_users(copier: Copier) -> None:
    authority, keys_of_host = copier.folder / "ca", copier.public()
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f"]
    subprocess.run([*make, str(authority)], check=True)
    keys = ("/etc/ssh/ssh_host_ed25519_key.pub", "/etc/ssh/ssh_host_ed25519_key-cert.pub")
    (copier.folder / "host.pub").write_text(copier.host.read(keys[0]))
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "test"]
    address = copier.host.address
    subprocess.run([*sign, "-h", "-n", address, str(copier.folder / "host.pub")], check=True)
    new = copier.folder / "new"
    subprocess.run([*make, str(new)], check=True)
    subprocess.run([*sign, "-n", "ops", f"{new}.pub"], check=True)
    public = authority.with_suffix(".pub").read_text()
    copier.host.put(keys[1], (copier.folder / "host-cert.pub").read_text())
    copier.host.put("/etc/ssh/ca.pub", public)
    settings = f"HostCertificate {keys[1]}\nTrustedUserCAKeys /etc/ssh/ca.pub\n"
    copier.host.put("/etc/ssh/sshd_config.d/test.conf", settings)
    copier.host.run("systemctl reload ssh")
    try:
        copier.key.write_bytes(new.read_bytes())
        (copier.folder / "key-cert.pub").write_text(Path(f"{new}-cert.pub").read_text())
        copier.known.write_text(f"@cert-authority * {public}")
        copier.configure()
        copier.works()
        lines = "".join(f"@revoked * {key}\n" for key in keys_of_host)
        copier.known.write_text(lines + copier.known.read_text())
        copier.fails("marked as revoked")
    finally:
        copier.host.run("rm /etc/ssh/sshd_config.d/test.conf; systemctl reload ssh")


# --- refusals, each in one sentence


def test_refusals_and_their_remedies(copier: Copier) -> None:
    good = copier.known.read_text()
    copier.configure()
    copier.known.write_text("")
    copier.fails("not among the known hosts", "log in once with ssh", "--accept-new-host-keys")
    copier.works("--accept-new-host-keys")
    assert copier.known.read_text()
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(copier.folder / "fake")]
    subprocess.run(make, check=True)
    name = good.split()[0]
    copier.known.write_text(f"{name} {(copier.folder / 'fake.pub').read_text()}")
    copier.fails("not the one known for it", "ssh-keygen -R")
    copier.known.write_text("".join(f"@revoked {line}\n" for line in good.splitlines()))
    copier.fails("marked as revoked", "@revoked")
    copier.known.write_text(good)
    copier.fails("refuses the login", "-l", to="nobody@web:")
    copier.key.chmod(0o644)
    copier.fails("refuses the login", "chmod 600")
    copier.key.chmod(0o600)
    copier.fails("knows that name", to="nowhere.invalid:")
    copier.config.write_text(copier.config.read_text() + "  NoSuchSetting yes\n")
    done = copier()
    assert done.returncode == 3 and "nosuchsetting" in done.stderr.lower()


def test_a_login_that_runs_no_commands_is_named(copier: Copier) -> None:
    copier.configure()
    copier.host.run("usermod --shell /usr/sbin/nologin ops")
    try:
        copier.fails("runs no command for this user", "not available")
    finally:
        copier.host.run("usermod --shell /bin/bash ops")


@pytest.mark.full
@pytest.mark.parametrize("shell", ["/bin/dash", "/usr/bin/fish", "/usr/bin/tcsh", "/usr/bin/zsh"])
def test_any_login_shell_will_do(copier: Copier, ship: Shipper, shell: str) -> None:
    copier.configure()
    host = copier.host
    name = Path(shell).name
    host.run(f"test -e {shell} || (apt-get -qq update; apt-get -qq install {name})", timeout=600)
    host.run(f"usermod --shell {shell} ops")
    try:
        copier.works()
        assert ship(ONE, "inner")["inner"]["image_id"]
    finally:
        host.run("usermod --shell /bin/bash ops")


@pytest.mark.full
def test_a_password_is_asked_for_once_and_given_to_ssh(copier: Copier, ship: Shipper) -> None:
    ship.config.write_text(ship.config.read_text().replace("IdentityFile", "#"))
    assert "--ask-password" in ship(ONE, "inner", status=4)["inner"]["error"]
    host, settings = copier.host, "/etc/ssh/sshd_config.d/0-test.conf"
    host.put(settings, "PasswordAuthentication yes\nKbdInteractiveAuthentication no\n")
    host.run("systemctl reload ssh")
    try:
        password = host.keys.password
        assert ship.asked([password], ONE, "inner", "--ask-password")["inner"]["image_id"]
        row = ship.asked(["wrong"], ONE, "inner", "--ask-password", status=4)["inner"]
        assert "correct the user, the password" in row["error"]
        host.put(settings, "PasswordAuthentication no\nKbdInteractiveAuthentication yes\n")
        host.run("systemctl reload ssh")
        assert ship.asked([password], ONE, "inner", "--ask-password")["inner"]["image_id"]
    finally:
        host.run(f"rm {settings}; systemctl reload ssh")


# --- what else is printed


@contextlib.contextmanager
def noisy(host: Host, more: str = "") -> Iterator[None]:
    """Start-up and farewell files that print, also what looks like an answer."""
    lines = "echo hello; echo uid=0; echo trouble >&2\n" + more
    host.run("cp /home/ops/.bashrc /root/ops.bashrc")
    host.put("/home/ops/.bashrc", lines + host.read("/root/ops.bashrc"))
    try:
        yield
    finally:
        host.run("cp /root/ops.bashrc /home/ops/.bashrc")


@pytest.mark.full
def test_start_up_files_that_print(copier: Copier, ship: Shipper, playbook: Playbooks) -> None:
    copier.configure()
    host = copier.host
    with noisy(host):
        copier.works()
        row = ship(ONE, "inner")["inner"]
        assert parcel.layers(host, ONE) == parcel.layers(None, ONE), row
        run = playbook(PLAY, [host])
        assert 'The login shell of ops prints "hello uid=0" when a command is run' in words(run)
        playbook(PLAY, [host]).assert_unchanged()
    with noisy(host, "printf 'no line end'\n"):
        copier.works()
        ship(ONE, "inner")
        run = playbook(PLAY, [host], expect_rc=None)
        refused(run, 'prints "hello uid=0 no line end"', "print only at a terminal")


@pytest.mark.full
def test_sudo_that_wants_a_terminal(inner: Host, ship: Shipper, playbook: Playbooks) -> None:
    inner.put(SUDOERS, "Defaults requiretty\n", "0440")
    try:
        row = ship(ONE, "inner", status=4)["inner"]
        assert "sudo asks for a terminal; remove requiretty" in row["error"]
        run = playbook(PLAY, [inner], "--tags", "preflight", expect_rc=None)
        refused(run, "sudo asks for a terminal", "remove requiretty")
    finally:
        inner.run(f"rm {SUDOERS}")


def test_warnings_of_the_docker_command_are_no_answer(inner: Host, ship: Shipper) -> None:
    inner.run(f"docker image rm -f {ONE}", check=False)
    inner.put("/root/.docker/config.json", "{broken")
    inner.put(
        "/usr/local/bin/docker",
        "#!/bin/sh\necho 'Emulate Docker CLI using podman.' >&2\nexec /usr/bin/docker \"$@\"\n",
        "0755",
    )
    try:
        assert ship(ONE, "inner")["inner"]["changed"]
        inner.put(
            "/usr/local/bin/docker",
            "#!/bin/sh\necho 'Emulate Docker CLI using podman.' >&2\n"
            "case $1 in --version) echo podman version 4.3.1 ;; *) exit 125 ;; esac\n",
            "0755",
        )
        row = ship(ONE, "inner", status=3)["inner"]
        assert "its docker command is Podman's" in row["error"]
    finally:
        inner.run("rm -r /root/.docker /usr/local/bin/docker")


# --- files


def test_what_cannot_be_read_or_written_is_named(copier: Copier) -> None:
    """An unreadable file once counted as the same as one that was not there."""
    copier.configure()
    host = copier.host
    host.run(
        "cd /home/ops && echo s >secret && chmod 600 secret && mkdir -p tree/shut "
        "&& echo 1 >tree/a && echo 2 >tree/shut/b && cp secret tree/ "
        "&& chown ops: tree && chmod 700 tree/shut && chmod 600 tree/secret"
    )
    script = [sys.executable, str(parcel.SCRIPTS / "copy_files.py"), "-F", str(copier.config)]

    def run(*arguments: str) -> tuple[int, dict]:
        done = subprocess.run(
            [*script, *arguments, "--json", "--quiet"], capture_output=True, text=True,
            cwd=copier.folder, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout)

    status, said = run("web:secret", "./s.txt")
    assert status == 1 and said["same"] == 0 and "Permission denied" in said["failed"][0]
    assert not (copier.folder / "s.txt").exists()
    status, said = run("web:tree", "tree")
    assert status == 1 and said["copied"] == 1 and len(said["failed"]) == 2, said
    assert (copier.folder / "tree/a").read_text() == "1\n"
    status, said = run("file", "web:/etc/file")
    assert status == 1 and "Permission denied" in said["failed"][0]
    host.run("mkdir -p /srv/tiny && mount -t tmpfs -o size=64k,mode=777 none /srv/tiny")
    (copier.folder / "big").write_bytes(b"x" * 100_000)
    status, said = run("big", "web:/srv/tiny/")
    assert status == 1 and "No space left" in said["error"]
    host.run("umount /srv/tiny; mv /usr/bin/sha256sum /root/")
    try:
        status, said = run("file", "web:new")
        assert status == 1 and "sha256sum: not found. Install it" in said["failed"][0]
    finally:
        host.run("mv /root/sha256sum /usr/bin/")
    host.run("cd /home/ops && rm -rf tree secret")
