"""What goes with the service, and what is not the project's and stays; with a small image."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from hostlab import Host, HostSpec, Playbooks, tiny
from hostlab.playbook import PlaybookRun, words

from ppocr_control.version import current

#: The version of the image that is run unless a setting names another.
SERVED = current()

SERVE = """
import http.server
http.server.test(HandlerClass=http.server.SimpleHTTPRequestHandler, port=8866)
"""
# Python in place of ls, for images that say which modules they have.
LS = "#!/usr/bin/python\nimport os, sys\nprint('\\n'.join(sorted(os.listdir(sys.argv[2]))))\n"
SETTINGS = {
    "hubserving_command": ["/serve.py"], "hubserving_config_dir": "/opt/paddle",
    "hubserving_network": "usernet", "confirm": "yes", "remove_image": True,
}  # fmt: skip
OPERATORS = """
set -e
mkdir -p /opt/paddle/inference /opt/paddle/stopped /opt/paddle/ppocr_own
for file in inference/model.pdmodel stopped/film ppocr_own/config.json config.json; do
  echo "the operator's" >/opt/paddle/$file
done
ln -s /etc /opt/paddle/link
docker network create usernet
docker run -d --name theirs --network usernet tiny:lab -m http.server
"""


@pytest.fixture(scope="module")
def host(lab) -> Host:
    host: Host = lab.host(HostSpec("remove1", suite="bookworm"))
    tiny.make(host)
    for version in (SERVED, "later"):
        build(host, f"ppocr:{version}")
    return host


def build(host: Host, tag: str, base: str = tiny.TAG, more: str = "") -> None:
    host.put("/root/build/serve.py", SERVE)
    host.put("/root/build/ls", LS, "0755")
    host.put(
        "/root/build/Dockerfile",
        f"FROM {base}\nCOPY serve.py /serve.py\nLABEL org.ppocr.content={tag}\n{more}\n"
        'HEALTHCHECK --interval=1s CMD ["/usr/bin/python", "-c", "pass"]\n',
    )
    host.run(f"docker build -q -t {tag} /root/build")


@pytest.fixture
def serve(playbook: Playbooks, host: Host, tmp_path) -> Callable[..., PlaybookRun]:
    """``serve(settings)`` runs the role hubserving alone."""
    play = tmp_path / "serve.yml"
    role = {"name": "Serve", "hosts": "ppocr_hosts", "gather_facts": False, "become": True}
    play.write_text(json.dumps([{**role, "roles": ["hubserving"]}]))

    def run(settings: dict, **more) -> PlaybookRun:
        return playbook(str(play), [host], extra_vars=settings, **more)

    return run


def listed(host: Host, what: str) -> set[str]:
    return set(host.run(f"docker {what}").stdout.split())


@pytest.mark.full
def test_a_check_passes_on_a_host_that_is_not_prepared(host: Host, serve) -> None:
    assert host.run("python3 -c 'import requests'", check=False).returncode
    run = serve({"hubserving_command": ["/serve.py"]}, check=True)
    assert "ppocr would be created" in words(run)
    assert listed(host, "ps -aq") == set()
    assert host.run("test -e /etc/ppocr", check=False).returncode


@pytest.mark.full
def test_what_is_not_the_projects_stays(host: Host, playbook: Playbooks, serve) -> None:
    # What the service's role needs on a host.
    playbook("tests/lab/host_roles.yml", [host], "--tags", "docker_engine")
    host.run(OPERATORS)
    before = host.run("find /opt/paddle -type f -o -type l | sort").stdout
    network = host.run("docker network inspect --format '{{.Id}}' usernet").stdout
    serve(SETTINGS)
    # An image committed from the service has its labels, and so has what runs from that image.
    host.run(
        "docker commit ppocr mine:1 && docker run -d --name mine "
        "-v /srv/mine/ppocr:/etc/ppocr mine:1 -m http.server"
    )
    serve({**SETTINGS, "hubserving_instances": [{"name": "second", "port": 8867}]})
    assert listed(host, "ps -a --format '{{.Names}}'") == {"second", "theirs", "mine"}
    build(host, "derived:1", f"ppocr:{SERVED}")
    build(host, "ppocr:0.9")
    assert "theirs" in host.run("docker network inspect usernet").stdout

    playbook("remove", [host], extra_vars=SETTINGS)
    assert host.run("find /opt/paddle -type f -o -type l | sort").stdout == before
    assert host.run("docker network inspect --format '{{.Id}}' usernet").stdout == network
    assert "theirs" in host.run("docker network inspect usernet").stdout
    assert listed(host, "ps -a --format '{{.Names}}'") == {"theirs", "mine"}
    images = listed(host, "image ls --format '{{.Repository}}:{{.Tag}}'")
    assert images >= {"derived:1", "mine:1", "tiny:lab"}
    assert not any(image.startswith("ppocr:") for image in images)
    playbook("remove", [host], extra_vars=SETTINGS).assert_unchanged()
    host.run("docker rm -f mine && docker image rm mine:1 derived:1")


@pytest.mark.full
def test_the_projects_own_goes_whatever_the_inventory_says(host: Host, playbook, serve) -> None:
    build(host, f"ppocr:{SERVED}")
    serve({"hubserving_command": ["/serve.py"]})
    assert "ppocr" in listed(host, "network ls --format '{{.Name}}'")
    host.run("docker network connect ppocr theirs")
    other = {"confirm": "yes", "hubserving_name": "other", "hubserving_network": "bridge"}
    run = playbook("remove", [host], extra_vars=other)
    assert "Network ppocr stays" in words(run)  # somebody's container is in it
    assert listed(host, "ps -a --format '{{.Names}}'") == {"theirs"}
    assert host.run("test -e /etc/ppocr", check=False).returncode
    host.run("docker network disconnect ppocr theirs")
    playbook("remove", [host], extra_vars=other)
    assert "ppocr" not in listed(host, "network ls --format '{{.Name}}'")


@pytest.mark.full
def test_containers_of_somebody_elses_are_not_replaced(host: Host, serve) -> None:
    names = ("ppocr", "ppocr-candidate", "ppocr-previous")
    for name in names:
        host.run(f"docker run -d --name {name} tiny:lab -m http.server")
    before = listed(host, "ps -aq --no-trunc")
    run = serve({"hubserving_command": ["/serve.py"]}, expect_rc=2)
    told = r"((?:ppocr[-a-z]*, ){2}ppocr[-a-z]*) is a container that this project did not make"
    found = re.search(told, words(run))
    assert found and set(found[1].split(", ")) == set(names), run.tail()
    assert "hubserving_name" in words(run)
    assert listed(host, "ps -aq --no-trunc") == before
    host.run(f"docker rm -f {' '.join(names)}")


@pytest.mark.full
def test_a_config_of_somebody_elses_is_not_overwritten(host: Host, serve) -> None:
    wanted = {**SETTINGS, "hubserving_name": "ppocr_own"}
    run = serve(wanted, expect_rc=2)
    assert "/opt/paddle/ppocr_own/config.json is there" in words(run)
    assert host.read("/opt/paddle/ppocr_own/config.json") == "the operator's\n"


@pytest.mark.full
def test_a_rollback_to_an_image_without_a_module_is_refused_at_once(
    host: Host, playbook: Playbooks, serve
) -> None:
    modules = "COPY serve.py /opt/ppocr/hub/modules/ocr_system/module.py\nCOPY ls /usr/bin/ls"
    for version in (SERVED, "later"):
        build(
            host, f"ppocr:{version}", more=f'{modules}\nENTRYPOINT ["/usr/bin/python", "/serve.py"]'
        )
    # The service's own command is given, so that its image is asked for modules.
    serve({"hubserving_modules": ["ocr_system"], "ppocr_version": "later"})
    before = listed(host, "ps -q --no-trunc")
    wanted = {"ppocr_version": SERVED, "hubserving_modules": ["ocr_system", "ocr_det"]}
    run = playbook("rollback", [host], "--skip-tags", "smoke_test", extra_vars=wanted, expect_rc=2)
    assert f"ppocr:{SERVED} lacks modules the inventory names: ocr_det" in words(run)
    assert "it has ocr_system" in words(run)
    assert "nothing was changed on any host" in words(run)
    assert listed(host, "ps -q --no-trunc") == before
    assert not run.changed
    has = {**wanted, "hubserving_modules": ["ocr_system"]}
    playbook("rollback", [host], "--skip-tags", "smoke_test", extra_vars=has)
    assert listed(host, "ps -q --no-trunc") != before
