"""The whole deploy on two hosts: check, converge, idempotence, verify; then what it survives.

a (bookworm, root, port 22) and z (trixie, a user with sudo, port 2222) start without Docker. The
image comes from this machine's engine (scripts/deploy builds it). Tests build on one another.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from hostlab import Host, HostSpec, Playbooks
from hostlab.playbook import words

from tests import certificates

ROOT = Path(__file__).parents[2]
DEPLOY = "playbooks/deploy.yml"
SAMPLE = ROOT / "smoke_tests/samples/image.json"
SERVE_ONLY = ("--tags", "ppocr_image,hubserving")


@pytest.fixture(scope="module")
def pair(lab) -> list[Host]:
    return lab.hosts(
        HostSpec("a", suite="bookworm", engine="none"),
        HostSpec("z", suite="trixie", engine="none", user="ops", port=2222),
    )


@pytest.fixture
def a(pair: list[Host]) -> Host:
    return pair[0]


@pytest.fixture
def z(pair: list[Host]) -> Host:
    return pair[1]


def ask(host: Host, port: int = 8866, module: str = "ocr_system") -> dict:
    """POST the shipped image.json with curl, as the README does."""
    command = ["curl", "-sS", "--max-time", "60", "-H", "Content-Type: application/json"]
    command += ["-X", "POST", "-d", f"@{SAMPLE}", f"http://{host.address}:{port}/predict/{module}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(answer)


def serves(host: Host, port: int = 8866) -> bool:
    try:
        return ask(host, port)["status"] == "000"
    except (subprocess.CalledProcessError, ValueError):
        return False


def wait_until_serving(host: Host, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not serves(host):
        assert time.monotonic() < deadline, host.journal()
        time.sleep(2)


def container(host: Host, name: str = "ppocr") -> dict:
    return json.loads(host.run(f"docker container inspect {name}").stdout)[0]


def running(host: Host) -> set[str]:
    """Names of all containers, whether they run or not."""
    return set(host.run("docker ps -a --format '{{.Names}}'").stdout.split())


# --- check mode, converge, idempotence, verify


def test_check_mode_before_there_is_anything(z: Host, playbook: Playbooks) -> None:
    run = playbook(DEPLOY, [z], check=True)
    assert f"http://{z.address}:8866" in words(run)  # the host's own, not this machine's
    assert z.run("test -e /usr/sbin/dockerd -o -e /etc/ppocr", check=False).returncode


def test_deploy_gives_a_verdict_for_each_host(pair, playbook: Playbooks) -> None:
    run = playbook(DEPLOY, pair)
    for host in pair:
        assert re.search(rf"PASSED {host.name}/ppocr \(http://{host.address}:8866\)", words(run))
        assert ask(host)["status"] == "000"


def test_check_mode_afterwards_promises_nothing(pair, playbook: Playbooks) -> None:
    playbook(DEPLOY, pair, check=True).assert_unchanged()


def test_the_container_is_locked_down(pair) -> None:
    for host in pair:
        settings = container(host)["HostConfig"]
        assert settings["ReadonlyRootfs"] and settings["Init"] and not settings["Privileged"]
        assert [name.removeprefix("CAP_") for name in settings["CapDrop"]] == ["ALL"]
        assert "no-new-privileges" in settings["SecurityOpt"][0]
        assert settings["Memory"] == 4 * 2**30 and settings["PidsLimit"] == 512
        assert settings["RestartPolicy"]["Name"] == "unless-stopped"
        assert settings["LogConfig"]["Config"] == {"max-file": "3", "max-size": "10m"}
        assert host.run("docker exec ppocr id -u").stdout.strip() == "10001"
        assert host.run("docker exec ppocr date +%Z").stdout.strip() == "CST"
        assert host.run("date +%Z").stdout.strip() == "CST"
        assert not host.run("find /var/lib/ppocr -type f").stdout  # nothing staged is left


def test_status_has_a_row_a_host(pair, playbook: Playbooks) -> None:
    rows = words(playbook("playbooks/status.yml", pair))
    for host in pair:
        assert re.search(
            rf"{host.name} ppocr running healthy 0 \d+ [\d.]+ s False ppocr:1\.0\.0", rows
        ), rows


@pytest.mark.full
def test_stop_and_start(a: Host, playbook: Playbooks) -> None:
    playbook("playbooks/stop.yml", [a])
    assert not serves(a)
    playbook("playbooks/stop.yml", [a]).assert_unchanged()
    playbook("playbooks/start.yml", [a])
    assert serves(a)


# --- what it survives


@pytest.mark.full
def test_a_reboot_and_a_docker_restart(a: Host) -> None:
    a.run("systemctl restart docker")
    wait_until_serving(a)
    a.reboot()
    wait_until_serving(a)


@pytest.mark.full
def test_an_unreachable_host_is_named_and_the_other_is_deployed(a, z, playbook: Playbooks) -> None:
    z.unplug()
    try:
        run = playbook(DEPLOY, [a, z], *SERVE_ONLY, expect_rc=None, env={"ANSIBLE_TIMEOUT": "5"})
    finally:
        z.plug()
    assert run.rc != 0
    assert run.recap[z.name].unreachable and run.recap[a.name].ok and not run.recap[a.name].failed


@pytest.mark.full
def test_settings_that_cannot_be_served_touch_no_host(a: Host, playbook: Playbooks) -> None:
    """One of them; the others are refused in tests/unit/test_settings_refused.py."""
    started = container(a)["State"]["StartedAt"]
    misspelt = {"hubserving_params": {"det_db_tresh": 0.2}}
    run = playbook(DEPLOY, [a], extra_vars=misspelt, expect_rc=2)
    assert "unknown parameter det_db_tresh: did you mean det_db_thresh" in words(run), run.tail()
    assert not run.changed
    assert "TASK [preflight" not in run.stdout  # nor anything after it
    assert container(a)["State"]["StartedAt"] == started


@pytest.mark.full
def test_one_container_a_module_on_the_guides_ports(a: Host, playbook: Playbooks) -> None:
    instances = [
        {"name": "ppocr_det", "port": 8866, "modules": ["ocr_det"]},
        {"name": "ppocr_rec", "port": 8867, "modules": ["ocr_rec"], "server": "hub"},
        {"name": "ppocr_system", "port": 8868, "modules": ["ocr_system"], "engine": "paddle"},
    ]
    serve = ("--tags", "ppocr_image,hubserving,smoke_test")
    # The engine paddle decides the default models, so this is another image than everyone else's.
    chosen = {"hubserving_instances": instances, "ppocr_image_tag": "guides-models"}
    run = playbook(DEPLOY, [a], *serve, extra_vars=chosen)
    assert len(re.findall(r"PASSED a/ppocr_\w+ ", words(run))) == 3
    assert set(ask(a, 8866, "ocr_det")["results"][0][0]) == {"text_region"}
    assert set(ask(a, 8867, "ocr_rec")["results"][0][0]) == {"text", "confidence"}
    assert ask(a, 8868)["status"] == "000" and ask(a, 8868, "ocr_det")["status"] == "111"
    # The container there was gave its port up: the inventory does not name it any more.
    assert running(a) == {f"ppocr_{name}{end}" for name in ("det", "rec", "system")
                          for end in ("", "-edge")}  # fmt: skip
    again = playbook(DEPLOY, [a], *SERVE_ONLY, extra_vars=chosen)
    again.assert_unchanged()
    playbook("playbooks/remove.yml", [a], extra_vars={"confirm": "yes"})
    assert running(a) == set()
    assert a.run("test -e /etc/ppocr", check=False).returncode


@pytest.mark.full
def test_tls_tokens_and_networks(z: Host, playbook: Playbooks, tmp_path: Path) -> None:
    made = certificates.issue(tmp_path, z.address)
    secure = {
        "hubserving_tls_cert": str(made.certificate),
        "hubserving_tls_key": str(made.key),
        "smoke_test_ca_bundle": str(made.authority),
        "hubserving_tokens": ["first-token"],
        "hubserving_hosts": [z.address],
        "hubserving_server": "hub",  # which knows nothing of all this
    }
    with_test = ("--tags", "ppocr_image,hubserving,smoke_test")
    run = playbook(DEPLOY, [z], *with_test, extra_vars=secure)
    assert f"PASSED z/ppocr (https://{z.address}:8866)" in words(run)
    assert "first-token" not in run.stdout
    secrets = ("/etc/ppocr/ppocr-edge/tls.pem", "/etc/ppocr/ppocr-edge/tokens.lst")
    kept = z.run(f"stat -c '%a %u %n' {' '.join(secrets)}").stdout
    assert kept.splitlines() == [f"400 10001 {name}" for name in secrets]
    playbook(DEPLOY, [z], *SERVE_ONLY, extra_vars=secure).assert_unchanged()

    def code(token: str, *options: str) -> str:
        """HTTP status of a request over TLS."""
        command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *options, "--cacert"]
        command += [str(made.authority), "-H", f"Authorization: Bearer {token}"]
        command += ["-H", "Content-Type: application/json", "-d", f"@{SAMPLE}"]
        command += [f"https://{z.address}:8866/predict/ocr_system"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert (code("first-token"), code("second-token")) == ("200", "401")
    assert code("first-token", "-H", "Host: ocr.example") == "403"
    assert not serves(z)  # not without TLS
    # A token is changed without a restart.
    before = container(z)["Id"]
    secure["hubserving_tokens"] = ["second-token"]
    playbook(DEPLOY, [z], *SERVE_ONLY, extra_vars=secure)
    assert container(z)["Id"] == before
    assert (code("first-token"), code("second-token")) == ("401", "200")
    # Samples that come from a network no longer allowed prove nothing: without them it is done.
    elsewhere = {"hubserving_allow_networks": ["198.51.100.0/24"]}
    run = playbook(DEPLOY, [z], *SERVE_ONLY, extra_vars=elsewhere, expect_rc=2)
    assert "HTTP 403: this network is not allowed (hubserving_allow_networks)" in words(run)
    assert container(z)["Id"] == before
    assert code("second-token") == "200"  # the edge has its certificate and networks again
    playbook(DEPLOY, [z], *SERVE_ONLY, "--skip-tags", "smoke_test", extra_vars=elsewhere)
    assert container(z)["Id"] != before
    assert "this network is not allowed" in ask(z)["msg"]  # and TLS and tokens are gone
    assert z.run("ls /etc/ppocr/ppocr").stdout.split() == ["config.json", "params.json"]


# --- what is refused before a byte is sent


@pytest.mark.full
def test_a_disk_too_small_is_refused(lab, playbook: Playbooks) -> None:
    host = lab.host(HostSpec("small", disks={"/var/lib/docker": 900}))
    extra = {"preflight_min_free_mb": 100}  # let it come to the image's own check
    run = playbook(DEPLOY, [host], extra_vars=extra, expect_rc=2)
    refusal = r"small: not enough room: .*needed \d+ MB, free \d+ MB"
    assert re.search(refusal, words(run)), run.tail()
    assert host.run("docker images -q").stdout == ""
    assert host.run("find /var/lib/ppocr -type f", check=False).stdout == ""


@pytest.mark.full
def test_an_image_that_cannot_be_built_leaves_the_service_alone(z, playbook: Playbooks) -> None:
    before = container(z)["Id"]
    extra = {"ppocr_version": "no-net", "ppocr_pip_index_url": "http://127.0.0.1:9/simple"}
    extra["ppocr_image_extra_requirements"] = ["no-such-package==1"]
    run = playbook(DEPLOY, [z], extra_vars=extra, expect_rc=2)
    assert "The image ppocr:no-net could not be built on localhost" in words(run)
    assert "ppocr_pip_index_url" in words(run)
    assert container(z)["Id"] == before and container(z)["State"]["Running"]
