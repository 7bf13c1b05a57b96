"""GPU hosts, with cards that are only pretended (hostlab/nvidia.py): everything up to the engine.

h (bookworm, root, Docker 20.10: the runtime hook) and c (trixie, a user with sudo, Docker 26: CDI).
The image stands for the service and answers its health check, so the smoke test is left out. Tests
build on one another in the order of the file. The last test is of a real card, where there is one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostlab import Host, HostSpec, Playbooks, nvidia, tiny
from hostlab.playbook import PlaybookRun, words

ROOT = Path(__file__).parents[2]
DEPLOY = "playbooks/deploy.yml"
NO_SMOKE = ("--skip-tags", "smoke_test")
TOOLKIT = ("--tags", "nvidia_container_toolkit")
SERVE_ONLY = ("--tags", "ppocr_image,hubserving")
CARDS_ONLY = ("--tags", "nvidia_container_toolkit,ppocr_image,hubserving")
IMAGE = "pretended-service:lab"
OWN = {
    "registry-mirrors": ["https://mirror.invalid"],
    "debug": True,
    "features": {"buildkit": True},
}
GUIDES_ERROR = 'could not select device driver "" with capabilities: [[gpu]]'
NAMES = sorted(nvidia.PACKAGES)


@pytest.fixture(scope="module")
def image() -> Iterator[dict[str, Any]]:
    """The settings that deploy the image instead of the service's own."""
    tag = f"{IMAGE}-gpu"
    nvidia.service_image(tag)
    name, version = IMAGE.split(":")
    yield {
        "ppocr_device": "gpu",
        "ppocr_image_source": "ship",
        "ppocr_image_name": name,
        "ppocr_version": version,
        "hubserving_wait_timeout": 300,
        "hubserving_graceful_timeout": 2,
        "nvidia_container_toolkit_reconcile_seconds": 3,
    }
    subprocess.run(["docker", "image", "rm", tag, f"{tag}-base"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("nvidia")
    nvidia.repository(folder)
    return folder


@pytest.fixture(scope="module")
def settings(image: dict[str, Any], repository: Path) -> dict[str, Any]:
    return {
        **image,
        "nvidia_container_toolkit_repository": f"file:{nvidia.REPOSITORY}",
        "nvidia_container_toolkit_repository_key": str(repository / "lab.asc"),
    }


@pytest.fixture(scope="module")
def pair(lab, repository: Path) -> list[Host]:
    hosts = lab.hosts(HostSpec("h"), HostSpec("c", suite="trixie", user="ops", port=2222))
    for host in hosts:
        nvidia.offer(host, repository)
    return hosts


@pytest.fixture
def h(pair: list[Host]) -> Host:
    return pair[0]


@pytest.fixture
def c(pair: list[Host]) -> Host:
    return pair[1]


def refused(run: PlaybookRun, *texts: str) -> None:
    assert run.rc != 0
    for text in texts:
        assert text in words(run), run.tail()
    assert "Traceback" not in run.stdout


def installed(host: Host) -> dict[str, str]:
    """Version by name of NVIDIA's packages on the host."""
    show = "dpkg-query --show --showformat='${db:Status-Status} ${Package} ${Version}\\n'"
    lines = host.run(f"{show} {' '.join(NAMES)}", check=False).stdout.splitlines()
    return {line.split()[1]: line.split()[2] for line in lines if line.startswith("installed ")}


def container(host: Host, name: str = "ppocr") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.run(f"docker container inspect {name}").stdout)[0]
    return found


def visible_inside(host: Host) -> str:
    environment = dict(line.split("=", 1) for line in container(host)["Config"]["Env"])
    return environment["CUDA_VISIBLE_DEVICES"]


def request(host: Host) -> dict[str, Any]:
    (asked,) = container(host)["HostConfig"]["DeviceRequests"]
    return {
        key: asked[key] for key in ("Driver", "Count", "DeviceIDs", "Capabilities") if asked[key]
    }


def wait_healthy(host: Host, seconds: float = 90) -> None:
    healthy = "docker inspect --format '{{.State.Health.Status}}' ppocr | grep -qx healthy"
    host.wait_for(healthy, timeout=seconds)


# --- refused before anything is changed


# The other refusals, word for word: tests/unit/test_nvidia_driver_probe.py.
@pytest.mark.full
def test_hosts_that_cannot_give_these_cards_are_refused_and_untouched(
    pair: list[Host], h: Host, c: Host, playbook: Playbooks, image
) -> None:
    nvidia.pretend(h)
    c.run("rm -f /usr/bin/nvidia-smi")
    extra = {**image, "ppocr_cuda_visible_devices": "0,7"}
    run = playbook(DEPLOY, pair, *NO_SMOKE, extra_vars=extra, expect_rc=None)
    refused(
        run,
        "the host has no nvidia-smi",
        "or set ppocr_device: cpu for this host",
        "ppocr_cuda_visible_devices names 7. This host has 0 (NVIDIA L4, GPU-00000000-0000",
        "1 (NVIDIA L4, GPU-00000001-0000",
    )
    assert run.recap[h.name].failed and run.recap[c.name].failed
    assert not run.changed, run.changed
    for host in pair:
        assert host.run("docker ps --all --quiet").stdout == "" and not installed(host)


def test_the_guides_first_error_is_met_before_a_container(h: Host, playbook, image) -> None:
    nvidia.pretend(h)
    tiny.make(h)
    guides = h.run(f"docker run --rm --gpus all {tiny.TAG} -c 1", check=False)
    assert GUIDES_ERROR in guides.stderr
    remedy = "Name a repository with its key (nvidia_container_toolkit_repository"
    run = playbook(DEPLOY, [h], *NO_SMOKE, extra_vars=image, expect_rc=None)
    refused(run, "NVIDIA's container toolkit is not on this host", GUIDES_ERROR, remedy)
    assert "failed to discover GPU vendor from CDI: no known GPU vendor found" in words(run)
    run = playbook(DEPLOY, [h], *SERVE_ONLY, extra_vars=image, expect_rc=None)
    refused(run, "no nvidia-container-runtime-hook on dockerd's PATH", GUIDES_ERROR)
    refused(run, "run playbooks/deploy.yml without --tags", "No container was created")
    assert h.run("docker ps --all --quiet --filter label=org.ppocr.instance").stdout == ""


@pytest.mark.full
def test_cdi_is_refused_where_docker_is_too_old(h: Host, playbook, settings) -> None:
    extra = {**settings, "nvidia_container_toolkit_mode": "cdi"}
    run = playbook(DEPLOY, [h], *NO_SMOKE, extra_vars=extra, expect_rc=None)
    refused(run, "nvidia_container_toolkit_mode is cdi, which needs Docker 25 or newer", "20.10")


# --- check, converge, idempotence, verify


@pytest.mark.full
def test_deploy(pair: list[Host], h: Host, playbook: Playbooks, settings) -> None:
    for host in pair:
        nvidia.pretend(host)
        host.put("/etc/docker/daemon.json", json.dumps(OWN))
        host.run("systemctl restart docker")
    tiny.make(h)
    h.run(f"docker run --detach --name others {tiny.TAG} -c 'import time; time.sleep(3600)'")
    clash = "deb [signed-by=/nowhere.gpg] http://nowhere.invalid/libnvidia-container /\n"
    h.put("/etc/apt/sources.list.d/nvidia-docker.list", clash)
    assert "would be installed (repository)" in words(
        playbook(DEPLOY, pair, *NO_SMOKE, extra_vars=settings, check=True)
    )
    run = playbook(DEPLOY, pair, *NO_SMOKE, extra_vars=settings)
    assert "Running now: others" in words(run)  # named before dockerd is restarted
    assert h.read("/etc/apt/sources.list.d/nvidia-docker.list.save") == clash
    h.run("docker rm --force others")


@pytest.mark.full
def test_the_four_packages_are_pinned_though_newer_ones_are_offered(pair: list[Host]) -> None:
    for host in pair:
        assert installed(host) == dict.fromkeys(NAMES, nvidia.VERSION)
        host.run("apt-get update")
        assert nvidia.NEWER in host.run("apt-cache madison nvidia-container-toolkit").stdout
        upgrade = host.run("apt-get --simulate upgrade").stdout
        assert "nvidia" not in upgrade
        assert not host.run(
            "test -e /etc/apt/sources.list.d/nvidia-docker.list", check=False
        ).stdout


@pytest.mark.full
def test_the_users_own_daemon_json_is_kept(pair: list[Host], h: Host, c: Host) -> None:
    for host in pair:
        now = json.loads(host.read("/etc/docker/daemon.json"))
        features = {**OWN["features"], **({"cdi": True} if host is c else {})}
        assert {key: now[key] for key in OWN} == {**OWN, "features": features}
        assert ("runtimes" in now) == (host is h)
    assert "nvidia" in h.run("docker info --format '{{json .Runtimes}}'").stdout


@pytest.mark.full
def test_the_container_asks_for_the_cards(h: Host, c: Host) -> None:
    assert request(h) == {"Count": -1, "Capabilities": [["gpu"]]}
    assert request(c) == {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}
    for host in (h, c):
        assert visible_inside(host) == "0,1"
        assert container(host)["Config"]["Image"] == f"{IMAGE}-gpu"


@pytest.mark.full
def test_a_second_run_and_check_mode_change_nothing(pair, playbook, settings) -> None:
    pids = [host.run("pidof dockerd").stdout for host in pair]
    playbook(DEPLOY, pair, *NO_SMOKE, extra_vars=settings).assert_unchanged()
    playbook(DEPLOY, pair, *CARDS_ONLY, extra_vars=settings, check=True).assert_unchanged()
    assert [host.run("pidof dockerd").stdout for host in pair] == pids


@pytest.mark.full
def test_docker_itself_reaches_the_cards(h: Host, c: Host) -> None:
    say = f"""{tiny.TAG} -c 'import os; print(os.environ["NVIDIA_VISIBLE_DEVICES"])'"""
    for host in (h, c):
        tiny.make(host)
        assert host.run(f"docker run --rm --gpus all {say}").stdout == "all\n"
    nodes = (
        f"""{tiny.TAG} -c 'import os; print(sorted(n for n in os.listdir("/dev") if "nv" in n))'"""
    )
    by_cdi = "docker run --rm --device nvidia.com/gpu={} "
    assert c.run(by_cdi.format("all") + nodes).stdout == "['nvidia0', 'nvidia1']\n"
    assert c.run(by_cdi.format("1") + nodes).stdout == "['nvidia1']\n"


@pytest.mark.full
def test_cards_are_chosen_by_host(pair, h: Host, c: Host, playbook, settings) -> None:
    second = nvidia.cards(2)[1]["uuid"]
    chosen = {
        **settings,
        "ppocr_cuda_visible_devices": "{{ cards[inventory_hostname] }}",
        "cards": {h.name: 1, c.name: second},
    }
    playbook(DEPLOY, pair, *SERVE_ONLY, extra_vars=chosen)
    assert request(h) == {"DeviceIDs": ["1"], "Capabilities": [["gpu"]]}
    assert request(c) == {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={second}"]}
    assert visible_inside(h) == visible_inside(c) == "0"  # numbered anew inside
    playbook(DEPLOY, pair, *SERVE_ONLY, extra_vars=chosen).assert_unchanged()


@pytest.mark.full
def test_a_card_the_runtime_does_not_know_has_a_sentence(h: Host, playbook, settings) -> None:
    nvidia.pretend(h, hidden=[0])
    before = container(h)["Id"]
    chosen = {**settings, "ppocr_cuda_visible_devices": [0]}
    run = playbook(DEPLOY, [h], *SERVE_ONLY, extra_vars=chosen, expect_rc=None)
    refused(run, "unknown device", "NVIDIA's runtime knows no card of that number or name")
    refused(run, "compare nvidia-smi -L with ppocr_cuda_visible_devices", "keeps serving unchanged")
    assert container(h)["Id"] == before and container(h)["State"]["Running"]
    nvidia.pretend(h)


@pytest.mark.full
def test_a_cdi_device_that_is_gone_has_a_sentence(c: Host, playbook, settings) -> None:
    spec = c.read("/etc/cdi/nvidia.yaml")
    c.put("/etc/cdi/nvidia.yaml", spec.replace('"name": "all"', '"name": "few"'))
    run = playbook(DEPLOY, [c], *SERVE_ONLY, extra_vars=settings, expect_rc=None)
    refused(
        run, "the CDI specification does not name nvidia.com/gpu=all", "No container was created"
    )
    c.put("/etc/cdi/nvidia.yaml", spec)


# --- what it survives


def two_looks(host: Host) -> None:
    """Wait until the timer has started the reconcile twice, and both runs have ended."""
    show = "systemctl show --property=InvocationID --value ppocr-gpu-reconcile"
    for _ in range(3):
        before = host.run(show).stdout.strip()
        host.wait_for(f'[ "$({show})" != "{before}" ]', timeout=90)


@pytest.mark.full
def test_the_cdi_specification_follows_the_cards(c: Host) -> None:
    nvidia.pretend(c, 3)
    c.wait_for("grep -q nvidia2 /etc/cdi/nvidia.yaml", timeout=30)
    nvidia.pretend(c)
    c.wait_for("! grep -q nvidia2 /etc/cdi/nvidia.yaml", timeout=30)


@pytest.mark.full
def test_a_driver_that_is_late_at_boot(h: Host) -> None:
    nvidia.pretend(h, failure="not loaded")
    h.reboot()
    state = container(h)["State"]
    assert not state["Running"] and "driver not loaded" in state["Error"]
    two_looks(h)
    assert not container(h)["State"]["Running"]
    nvidia.pretend(h)
    wait_healthy(h)
    assert "did not start" in h.run("journalctl --unit ppocr-gpu-reconcile --no-pager").stdout


@pytest.mark.full
def test_a_container_that_lost_its_gpu_is_restarted(h: Host) -> None:
    before = container(h)["State"]["StartedAt"]
    merged = h.run("docker inspect --format '{{.GraphDriver.Data.MergedDir}}' ppocr").stdout.strip()
    inside = f"{merged}{nvidia.STATE}"
    lost = {**json.loads(h.read(inside)), "failure": "nvml"}
    h.put(inside, json.dumps(lost))
    h.wait_for("journalctl --unit ppocr-gpu-reconcile | grep -q 'ppocr lost its GPU'", timeout=60)
    wait_healthy(h)
    assert container(h)["State"]["StartedAt"] != before


@pytest.mark.full
def test_what_an_operator_stops_stays_stopped(h: Host, playbook, settings) -> None:
    nvidia.pretend(h, failure="not loaded")
    h.run("systemctl restart docker")
    assert container(h)["State"]["Error"]
    playbook("stop", [h], extra_vars=settings)
    nvidia.pretend(h)
    two_looks(h)
    assert not container(h)["State"]["Running"]
    playbook("start", [h], extra_vars=settings)
    wait_healthy(h)


# --- other ways to have the packages, and the way out


@pytest.mark.full
def test_packages_given_as_files(h: Host, playbook, image, repository: Path) -> None:
    h.run(f"apt-get --yes purge {' '.join(NAMES)} && rm -f /etc/apt/sources.list.d/nvidia-*")
    wrong = sorted(str(path) for path in repository.glob(f"*_{nvidia.NEWER}_*.deb"))
    files = {**image, "nvidia_container_toolkit_packages": wrong}
    run = playbook(DEPLOY, [h], *TOOLKIT, extra_vars=files, expect_rc=None)
    refused(run, f"all {nvidia.VERSION} (nvidia_container_toolkit_version). Correct one of the two")
    files["nvidia_container_toolkit_version"] = nvidia.NEWER
    playbook(DEPLOY, [h], *TOOLKIT, extra_vars=files)
    assert installed(h) == dict.fromkeys(NAMES, nvidia.NEWER)
    playbook(DEPLOY, [h], *TOOLKIT, extra_vars=files).assert_unchanged()
    # Without a source, the version that is there is kept.
    run = playbook(DEPLOY, [h], *TOOLKIT, extra_vars=image)
    assert f"toolkit {nvidia.NEWER} is installed and kept" in words(run)


@pytest.mark.full
def test_a_repository_that_cannot_be_read_says_what_to_do(c: Host, playbook, settings) -> None:
    dead = {**settings, "nvidia_container_toolkit_repository": "http://127.0.0.1:9/deb"}
    dead["nvidia_container_toolkit_version"] = nvidia.NEWER
    run = playbook(DEPLOY, [c], *TOOLKIT, extra_vars=dead, expect_rc=None)
    refused(run, "Could not install nvidia-container-toolkit, nvidia-container-toolkit-base")
    refused(run, "Packages come from http://127.0.0.1:9/deb", "a proxy is ppocr_proxy")
    assert installed(c) == dict.fromkeys(NAMES, nvidia.VERSION)


@pytest.mark.full
def test_removal_takes_the_timer_along(h: Host, playbook, settings) -> None:
    playbook("remove", [h], extra_vars={**settings, "confirm": "yes"})
    assert not h.run("ls /etc/systemd/system | grep ppocr-gpu", check=False).stdout
    assert h.run("test -e /usr/local/sbin/ppocr-gpu", check=False).returncode
    assert installed(h)  # the toolkit stays, as Docker does


# --- a real card


def _real_card() -> bool:
    if not shutil.which("nvidia-smi"):
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False).returncode == 0


@pytest.mark.gpu
@pytest.mark.skipif(not _real_card(), reason="not run: no NVIDIA card answers on this machine")
def test_a_real_card_serves() -> None:
    """Deploys beside a service of this machine; PPOCR_GPU_SETTINGS names a file with settings."""
    more = os.environ.get("PPOCR_GPU_SETTINGS")
    own = {"ppocr_device": "gpu", "hubserving_name": "ppocr_gpu", "hubserving_port": 8876}
    command = ["scripts/deploy", *(["-e", f"@{more}"] if more else []), "-e", json.dumps(own)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "PASSED localhost/ppocr_gpu" in done.stdout
    inside = ["docker", "exec", "ppocr_gpu", "nvidia-smi", "-L"]
    listed = subprocess.run(inside, capture_output=True, text=True, check=True).stdout
    assert "GPU 0:" in listed
