"""The host roles on real hosts: check mode, converge, idempotence, verify; then what they survive.

Two hosts serve the whole module, so the tests build on one another in the order of the file:
b (bookworm, root, Docker 20.10) and t (trixie, a user with sudo, port 2222, Docker 26).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hostlab import Host, HostSpec, Playbooks, tiny
from hostlab.playbook import PlaybookRun, words

PLAY = "tests/lab/host_roles.yml"
ENGINE = ("--tags", "docker_engine")  # with facts, which are always gathered
DAEMON_JSON = "/etc/docker/daemon.json"
OWN = {"registry-mirrors": ["https://mirror.invalid"], "data-root": "/var/lib/docker", "mtu": 1400}


@pytest.fixture(scope="module")
def pair(lab) -> list[Host]:
    return lab.hosts(
        HostSpec("b", suite="bookworm", engine="none", disks={"/srv/small": 64}),
        HostSpec("t", suite="trixie", engine="none", user="ops", port=2222),
    )


@pytest.fixture
def b(pair: list[Host]) -> Host:
    return pair[0]


@pytest.fixture
def t(pair: list[Host]) -> Host:
    return pair[1]


def refused(run: PlaybookRun, *texts: str) -> None:
    """Fail unless the run failed, changed nothing and said all of texts."""
    assert run.rc != 0
    assert not run.changed, run.changed
    for text in texts:
        assert text in words(run), run.tail()


def daemon_json(host: Host) -> dict:
    return json.loads(host.read(DAEMON_JSON))


def engine_pid(host: Host) -> str:
    return host.run("pidof dockerd").stdout.strip()


# --- before there is an engine: what preflight refuses


@pytest.mark.full
def test_check_mode_on_bare_hosts_promises_and_changes_nothing(pair, playbook: Playbooks) -> None:
    run = playbook(PLAY, pair, check=True)
    assert "docker.io would be installed" in words(run)
    assert "the host has no engine; tasks that need Docker are skipped" in words(run)
    for host in pair:
        assert host.run("test -e /etc/docker || test -e /usr/sbin/dockerd", check=False).returncode
        assert host.run("date +%Z").stdout.strip() == "UTC"


# Every other answer of sudo: tests/unit/test_preflight_code.py; a German one: test_languages.py.
def test_a_user_without_sudo_gets_one_sentence(t: Host, playbook: Playbooks) -> None:
    t.run("mv /etc/sudoers.d/ops /root/ops.sudoers")
    try:
        run = playbook(PLAY, [t], expect_rc=None)
        refused(run, "User ops cannot become root on this host", "NOPASSWD in sudoers")
        assert "Traceback" not in run.stdout
    finally:
        t.run("mv /root/ops.sudoers /etc/sudoers.d/ops")


@pytest.mark.full
def test_an_unknown_system_is_refused_and_can_be_forced(b: Host, playbook: Playbooks) -> None:
    os_release = 'NAME="openSUSE Leap"\nID="opensuse-leap"\nVERSION_ID="15.6"\nVERSION="15.6"\n'
    b.run("cp -P /etc/os-release /root/os-release")
    try:
        b.run(f"rm /etc/os-release && printf '%s' '{os_release}' >/etc/os-release")
        run = playbook(PLAY, [b], "--tags", "preflight", expect_rc=None)
        refused(run, "is not supported. Supported: Debian 11, 12, 13;", "openEuler 22.03, 24.03")
        playbook(PLAY, [b], "--tags", "preflight", extra_vars={"preflight_allow_unsupported": True})
    finally:
        b.run("rm /etc/os-release && cp -P /root/os-release /etc/os-release")


@pytest.mark.full
def test_a_full_disk_is_refused_where_docker_keeps_its_data(b: Host, playbook: Playbooks) -> None:
    b.put(DAEMON_JSON, '{"data-root": "/srv/small/docker"}')
    try:
        run = playbook(PLAY, [b], expect_rc=None)
        refused(run, "/srv/small/docker has", "6000 MiB are wanted (preflight_min_free_mb)")
    finally:
        b.run("rm -r /etc/docker")


def test_a_taken_port_names_the_process(b: Host, playbook: Playbooks) -> None:
    b.run("systemd-run --unit squatter python3 -m http.server 8866")
    b.wait_for("ss -ltn | grep -q :8866")
    pid = b.run("systemctl show -p MainPID --value squatter").stdout.strip()
    try:
        run = playbook(PLAY, [b], expect_rc=None)
        refused(run, "Port 8866 of instance ppocr is held by process python3", f"(PID {pid}: ")
        playbook(PLAY, [b], "--tags", "preflight", extra_vars={"hubserving_port": 8867})
    finally:
        b.run("systemctl stop squatter")


# --- an engine where there was none


@pytest.mark.full
def test_packages_that_cannot_be_had_say_what_to_do(t: Host, playbook: Playbooks) -> None:
    dead = {"ppocr_apt_mirror": "http://mirror.invalid/debian"}
    run = playbook(PLAY, [t], expect_rc=None, extra_vars=dead)
    assert run.rc and "Could not install docker.io (a Docker engine)" in words(run)
    assert "name a mirror (ppocr_apt_mirror) or a proxy" in words(run)


@pytest.mark.full
def test_converge(pair: list[Host], t: Host, playbook: Playbooks, mirror: str) -> None:
    """t installs from the mirror alone: its own sources lead nowhere, and are left as they are."""
    by_host = "{{ mirrors[inventory_hostname] | default('') }}"
    mirrors = {"ppocr_apt_mirror": by_host, "mirrors": {t.name: mirror}}
    run = playbook(PLAY, pair, extra_vars=mirrors)
    assert {host for host, task in run.changed if "Install with apt" in task} == {"b", "t"}


@pytest.mark.full
def test_converged_hosts_have_what_was_promised(pair: list[Host], t: Host) -> None:
    for host in pair:
        assert host.run("docker version -f '{{.Server.Version}}'").stdout.strip()
        assert host.run("systemctl is-enabled docker").stdout.strip() == "enabled"
        assert host.run("date +%Z").stdout.strip() == "CST"
        assert host.read("/etc/timezone") == "Asia/Shanghai\n"
        assert daemon_json(host)["log-opts"] == {"max-size": "50m", "max-file": "3"}
        host.run("python3 -c 'import requests'; docker-init --version")
        assert not host.run("ls -A /etc/docker | grep unproven", check=False).stdout
    assert "nowhere.invalid" in t.read("/etc/apt/sources.list")


@pytest.mark.full
def test_second_run_and_check_mode_change_nothing(pair: list[Host], playbook: Playbooks) -> None:
    pids = [engine_pid(host) for host in pair]
    first = playbook(PLAY, pair)  # t no longer names a mirror: our own sources go
    assert {task for _host, task in first.changed} <= {
        "host_packages : Create or remove the folder of our apt configuration"
    }
    playbook(PLAY, pair, check=True).assert_unchanged()
    assert [engine_pid(host) for host in pair] == pids


# --- an engine that is there


@pytest.mark.full
def test_a_stopped_engine_is_started_and_nothing_else_is_done(
    b: Host, t: Host, playbook: Playbooks
) -> None:
    for host in (b, t):
        host.run("systemctl stop docker.socket docker")
    run = playbook(PLAY, [b, t])
    assert {task for _host, task in run.changed} == {"docker_engine : Start dockerd"}


@pytest.mark.full
def test_settings_are_merged_into_the_hosts_own(t: Host, playbook: Playbooks) -> None:
    t.put(DAEMON_JSON, json.dumps(OWN), mode="0640")
    t.run("systemctl restart docker")
    tiny.serve(t, 8866, "web")
    pid = engine_pid(t)

    # A default alone is no reason to restart an engine that has containers.
    playbook(PLAY, [t], *ENGINE).assert_unchanged()
    assert daemon_json(t) == OWN and engine_pid(t) == pid

    settings = {
        "docker_engine_daemon_config": {"registry-mirrors": ["https://two.invalid"], "mtu": None},
        "docker_engine_daemon_fragments": [{"features": {"cdi": True}}],
    }
    before = t.run("sha256sum /etc/docker/*").stdout
    assert playbook(PLAY, [t], *ENGINE, extra_vars=settings, check=True).changed
    assert t.run("sha256sum /etc/docker/*").stdout == before

    run = playbook(PLAY, [t], *ENGINE, extra_vars=settings)
    assert "Running now: web" in words(run)
    assert daemon_json(t) == {
        "registry-mirrors": ["https://mirror.invalid", "https://two.invalid"],
        "data-root": "/var/lib/docker",
        "features": {"cdi": True},
        "log-driver": "json-file",
        "log-opts": {"max-size": "50m", "max-file": "3"},
    }
    assert t.run(f"stat -c %a {DAEMON_JSON}").stdout.strip() == "640"
    backups = t.run(f"cat {DAEMON_JSON}.*.bak").stdout
    assert json.loads(backups) == OWN
    assert "https://two.invalid/" in t.run("docker info").stdout
    playbook(PLAY, [t], *ENGINE, extra_vars=settings).assert_unchanged()


@pytest.mark.full
def test_a_container_of_someone_else_holds_the_port(t: Host, playbook: Playbooks) -> None:
    t.run("docker start web")
    refused(
        playbook(PLAY, [t], "--tags", "preflight", expect_rc=None),
        "Port 8866 of instance ppocr is held by container web",
    )
    t.run("docker rename web ppocr")
    playbook(PLAY, [t], "--tags", "preflight").assert_unchanged()  # our own is no conflict
    t.run("docker rm -f ppocr")


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "config", "says"),
    [
        ("t", {"no-such-setting": 1}, "no-such-setting"),  # by dockerd --validate
        ("b", {"hosts": ["unix:///x"]}, "hosts is also given to dockerd as the flag -H"),
    ],
)
def test_settings_dockerd_would_refuse_never_reach_the_file(
    pair: list[Host], playbook: Playbooks, name: str, config: dict, says: str
) -> None:
    host = next(host for host in pair if host.name == name)
    before, pid = host.read(DAEMON_JSON), engine_pid(host)
    run = playbook(
        PLAY, [host], *ENGINE, extra_vars={"docker_engine_daemon_config": config}, expect_rc=None
    )
    refused(run, "would not be accepted with these settings", says)
    assert host.read(DAEMON_JSON) == before and engine_pid(host) == pid


@pytest.mark.full
def test_what_dockerd_refuses_only_at_its_start_is_taken_back(b: Host, playbook: Playbooks) -> None:
    before = b.read(DAEMON_JSON)
    bad = {"docker_engine_daemon_config": {"storage-driver": "nosuch"}}
    run = playbook(PLAY, [b], *ENGINE, extra_vars=bad, expect_rc=None)
    assert run.rc
    assert "The old daemon.json is back; the refused one is" in words(run)
    assert "The engine answers again." in words(run)
    assert re.search(r"storage.driver|nosuch", words(run).rpartition("Its last log lines")[2])
    assert b.read(DAEMON_JSON) == before
    assert "nosuch" in b.run(f"cat {DAEMON_JSON}.*.refused").stdout
    b.run("docker info")
    playbook(PLAY, [b], *ENGINE).assert_unchanged()


@pytest.mark.full
def test_a_run_cut_off_before_the_restart_is_finished_by_the_next(b: Host, playbook) -> None:
    settings = {"docker_engine_daemon_config": {"debug": True}}
    pid = engine_pid(b)
    cut = playbook.start(PLAY, [b], *ENGINE, extra_vars=settings)
    cut.wait_for("TASK [docker_engine : Configure dockerd's proxy]")
    cut.kill()
    assert daemon_json(b)["debug"] is True and engine_pid(b) == pid
    playbook(PLAY, [b], *ENGINE, extra_vars=settings)
    assert engine_pid(b) != pid
    assert "Debug Mode: true" in b.run("docker info").stdout
    playbook(PLAY, [b], *ENGINE, extra_vars=settings).assert_unchanged()


@pytest.mark.full
def test_a_broken_daemon_json_is_refused_with_its_place(b: Host, playbook: Playbooks) -> None:
    good, broken = b.read(DAEMON_JSON), '{\n  "debug": true,\n}\n'
    b.put(DAEMON_JSON, broken)
    run = playbook(PLAY, [b], *ENGINE, expect_rc=None)
    refused(run, "/etc/docker/daemon.json is not valid JSON: line 3, column 1")
    assert b.read(DAEMON_JSON) == broken
    b.put(DAEMON_JSON, good)


@pytest.mark.full
def test_an_engine_that_cannot_start_shows_its_log(b: Host, playbook: Playbooks) -> None:
    good = b.read(DAEMON_JSON)
    b.run("systemctl stop docker.socket docker")
    b.put(DAEMON_JSON, json.dumps({**json.loads(good), "log-driver": "nosuch"}))
    run = playbook(
        PLAY, [b], *ENGINE, expect_rc=None, extra_vars={"docker_engine_start_timeout": 5}
    )
    assert run.rc and "dockerd does not start" in words(run) and "nosuch" in words(run)
    b.put(DAEMON_JSON, good)
    # systemd may be at another try with the bad file: that one has to end first.
    b.run("systemctl stop docker.socket docker; systemctl reset-failed docker docker.socket")
    b.run("systemctl start docker")


@pytest.mark.full
def test_proxy_and_certificates_come_and_go(b: Host, playbook: Playbooks, authority: Path) -> None:
    settings = {
        "ppocr_proxy": "http://me:p%40ss@proxy.invalid:3128",
        "docker_engine_ca_bundle": str(authority),
    }
    run = playbook(PLAY, [b], *ENGINE, extra_vars=settings)
    assert "p%40ss" not in run.stdout
    pem = authority.read_text().strip()
    assert pem in b.read("/etc/ssl/certs/ca-certificates.crt")
    environment = b.run("tr '\\0' '\\n' </proc/$(pidof dockerd)/environ").stdout
    assert "HTTPS_PROXY=http://me:p%40ss@proxy.invalid:3128\n" in environment
    playbook(PLAY, [b], *ENGINE, extra_vars=settings).assert_unchanged()

    playbook(PLAY, [b], *ENGINE)
    assert pem not in b.read("/etc/ssl/certs/ca-certificates.crt")
    assert "PROXY" not in b.run("tr '\\0' '\\n' </proc/$(pidof dockerd)/environ").stdout
    playbook(PLAY, [b], *ENGINE).assert_unchanged()


@pytest.mark.full
def test_a_zone_in_plain_values(b: Host, playbook: Playbooks) -> None:
    zone = {"ppocr_timezone": "Europe/Berlin"}
    playbook(PLAY, [b], "--tags", "timezone", extra_vars=zone)
    assert b.run("readlink -f /etc/localtime").stdout.strip().endswith("/Europe/Berlin")
    playbook(PLAY, [b], "--tags", "timezone", extra_vars=zone).assert_unchanged()


@pytest.fixture
def mirror(t: Host) -> str:
    """What t's own sources name, which from now on lead nowhere."""
    found = re.search(r"^deb (\S+)", t.read("/etc/apt/sources.list"), re.MULTILINE)
    assert found
    t.run(
        "sed -i 's,//[^/]*,//nowhere.invalid,' /etc/apt/sources.list; rm -rf /var/lib/apt/lists/*"
    )
    return found[1]


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    """A certificate authority nobody knows."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ppocr lab authority")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=2))
    certificate = builder.sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path
