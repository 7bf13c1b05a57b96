"""Updates of one host under a client that never stops asking: no request may be lost.

Tests build on one another. The image comes from this machine's engine (scripts/deploy builds it).
"""

from __future__ import annotations

import ast
import datetime
import json
from collections.abc import Callable

import pytest
import requests
from hostlab import Host, HostSpec, Playbooks
from hostlab.playbook import words
from steady import ENOUGH, PICTURE, Steady, texts

from tests import certificates

DEPLOY, MAINTENANCE = "playbooks/deploy.yml", "playbooks/maintenance.yml"
PARTS = ("--tags", "ppocr_image,hubserving,smoke_test")
#: A parameter that changes no text, and one that keeps every line from being returned.
ANOTHER, MISREAD = {"det_limit_side_len": 1280, "use_angle_cls": False}, {"drop_score": 0.999}


@pytest.fixture(scope="module")
def host(lab, playbook: Playbooks) -> Host:
    found: Host = lab.host(HostSpec("u1", suite="bookworm"))
    playbook("tests/lab/host_roles.yml", [found], "--tags", "docker_engine")
    return found


@pytest.fixture
def url(host: Host) -> str:
    return f"http://{host.address}:8866/predict/ocr_system"


@pytest.fixture
def steady(url: str) -> Callable[..., Steady]:
    def steady(*, secure: bool = False, enough: int = 1, **options) -> Steady:
        asked = url.replace("http:", "https:") if secure else url
        expected = texts(requests.Session(), asked, **options)
        assert expected
        return Steady(asked, expected, options, enough)

    return steady


def inspect(host: Host, name: str) -> dict:
    return json.loads(host.run(f"docker container inspect {name}").stdout)[0]


def started(host: Host, name: str) -> float:
    """When a container began to run, in seconds since the epoch."""
    at = inspect(host, name)["State"]["StartedAt"]
    return datetime.datetime.fromisoformat(at).timestamp()


def names(host: Host) -> set[str]:
    return set(host.run("docker ps -a --format '{{.Names}}'").stdout.split())


def parameters(host: Host) -> dict:
    return json.loads(host.run("docker exec ppocr cat /etc/ppocr/params.json").stdout)


def pdserving_url(url: str) -> str:
    return url.replace(":8866/predict/ocr_system", ":9998/ocr/prediction")


def texts_for_pdserving(url: str, **options: str) -> list[str]:
    """The texts of the sample, asked as a client of deploy/pdserving asks."""
    body = {"key": ["image"], "value": [PICTURE]}
    data = json.dumps(body)
    told = requests.post(pdserving_url(url), data=data, timeout=60, **options).json()
    return [text for (text, _), _ in ast.literal_eval(told["value"][0])]


def test_the_edge_holds_the_port(host: Host, playbook: Playbooks, url: str) -> None:
    playbook(DEPLOY, [host], *PARTS, extra_vars={"edge_enabled": False})
    assert "8866/tcp" in inspect(host, "ppocr")["HostConfig"]["PortBindings"]
    extra = {"edge_enabled": False, "ppocr_maintenance": "on"}
    run = playbook(MAINTENANCE, [host], extra_vars=extra, expect_rc=2)
    assert "because edge_enabled is false; nothing was changed" in words(run)
    playbook(DEPLOY, [host], *PARTS)  # a service of the version before is taken over
    assert not inspect(host, "ppocr")["HostConfig"]["PortBindings"]
    edge = inspect(host, "ppocr-edge")["HostConfig"]
    assert edge["PortBindings"] and edge["ReadonlyRootfs"] and edge["CapDrop"] == ["ALL"]
    assert texts(requests.Session(), url)


@pytest.mark.full
def test_a_takeover_closes_the_port_once(host: Host, playbook: Playbooks, steady) -> None:
    playbook(DEPLOY, [host], *PARTS, extra_vars={"edge_enabled": False})
    with steady() as client:
        playbook(DEPLOY, [host], *PARTS)
    client.assert_lost_once(started(host, "ppocr-edge"), seconds=30)


@pytest.mark.full
def test_a_deploy_without_changes_keeps_it(host: Host, playbook: Playbooks) -> None:
    playbook(DEPLOY, [host], *PARTS).assert_unchanged()
    playbook(DEPLOY, [host], *PARTS, check=True).assert_unchanged()


def test_a_parameter_is_changed(host, playbook: Playbooks, steady) -> None:
    with steady(enough=ENOUGH) as client:
        run = playbook(DEPLOY, [host], *PARTS, extra_vars={"hubserving_params": ANOTHER})
    client.assert_nothing_lost()
    assert "PASSED" in words(run)
    assert parameters(host) == ANOTHER and names(host) == {"ppocr", "ppocr-edge"}


def test_what_misreads_the_samples_never_serves(host, playbook: Playbooks, steady) -> None:
    before = parameters(host)
    with steady() as client:
        run = playbook(
            DEPLOY, [host], *PARTS, extra_vars={"hubserving_params": MISREAD}, expect_rc=2
        )
    assert parameters(host) == before  # what it would read when it starts again
    client.assert_nothing_lost()
    assert "misread the samples" in words(run) and "the old container keeps serving" in words(run)
    assert names(host) == {"ppocr", "ppocr-edge"}


@pytest.mark.full
def test_what_never_gets_ready_never_serves(host, playbook: Playbooks, steady) -> None:
    settings = {"hubserving_command": ["sleep", "1000"], "hubserving_wait_timeout": 20}
    with steady() as client:
        run = playbook(DEPLOY, [host], *PARTS, extra_vars=settings, expect_rc=2)
    client.assert_nothing_lost()
    assert "did not become healthy; the old container keeps serving" in words(run)
    assert "ppocr-candidate:" in words(run)  # its last log lines
    assert names(host) == {"ppocr", "ppocr-edge"}


@pytest.mark.full
def test_the_edge_is_replaced(host, playbook: Playbooks, steady) -> None:
    """Two containers cannot publish one port: it is closed for a moment."""
    for limit in ("400m", "512m"):
        with steady() as client:
            run = playbook(DEPLOY, [host], *PARTS, extra_vars={"edge_memory_limit": limit})
        assert "Let it have the port" in words(run)
        client.assert_lost_once(started(host, "ppocr-edge"), seconds=30)


@pytest.mark.full
def test_without_room_for_two_it_pauses(host, playbook: Playbooks, url: str) -> None:
    settings = {"hubserving_update": "pause", "hubserving_params": MISREAD}
    run = playbook(DEPLOY, [host], *PARTS, extra_vars=settings, expect_rc=2)
    assert "ppocr stops while the new container starts: hubserving_update is pause" in words(run)
    assert "misread the samples; the old container serves again" in words(run)
    assert names(host) == {"ppocr", "ppocr-edge"} and parameters(host) != MISREAD
    playbook(DEPLOY, [host], *PARTS, extra_vars={**settings, "hubserving_params": ANOTHER})
    assert parameters(host) == ANOTHER and texts(requests.Session(), url)


#: What an update changes, in turn; and whether the rerun has an edge to put back.
STEPS = {
    "Write params.json": False,
    "Run the container": False,
    "Send the sample pictures": True,
    "Switch to the new container": True,
    "Stop the old container": False,
    "Give the new container its name": False,
}


@pytest.mark.full
@pytest.mark.parametrize("step", STEPS)
def test_the_control_node_is_lost(host, playbook: Playbooks, steady, step: str) -> None:
    wanted = ANOTHER if parameters(host) == {} else {}
    again = {"hubserving_params": wanted}
    with steady() as client:
        run = playbook.start(DEPLOY, [host], *PARTS, extra_vars={**again, "edge_wait": 20})
        run.wait_for(f": {step}]")
        run.kill()
        run = playbook(DEPLOY, [host], *PARTS, extra_vars={**again, "deploy_lock_break": True})
    client.assert_nothing_lost()
    put_back = (host.name, "edge : Put the edge back as it was before the update")
    assert (put_back in run.tasks("changed")) == STEPS[step]
    assert parameters(host) == wanted and names(host) == {"ppocr", "ppocr-edge"}
    assert not host.run("ls /etc/ppocr/*/*.before", check=False).stdout


@pytest.mark.full
def test_another_version_and_back(host, playbook: Playbooks, steady) -> None:
    host.run("printf 'FROM ppocr:1.0.0\nLABEL x=y\n' | docker build -q -t ppocr:1.0.1 -")
    go = {"ppocr_version": "1.0.1", "confirm": "yes"}
    with steady(enough=ENOUGH) as client:
        playbook("playbooks/rollback.yml", [host], extra_vars=go)
        assert inspect(host, "ppocr")["Config"]["Image"] == "ppocr:1.0.1"
    client.assert_nothing_lost()
    with steady(enough=ENOUGH) as client:
        playbook("playbooks/rollback.yml", [host], extra_vars={"confirm": "yes"})
    client.assert_nothing_lost()
    assert inspect(host, "ppocr")["Config"]["Image"] == "ppocr:1.0.0"


@pytest.mark.full
def test_models_are_changed(host, playbook: Playbooks, steady) -> None:
    """Another set, in an image of its own, and back: the new image has another detector."""
    detector = "docker exec ppocr sha256sum /opt/ppocr/models/det/inference.onnx"
    before = host.run(detector).stdout
    fast = {"det": "PP-OCRv6-tiny", "rec": "PP-OCRv6-small"}
    with steady(enough=ENOUGH) as client:
        settings = {"ppocr_models": fast, "ppocr_version": "1.0.2"}
        playbook(DEPLOY, [host], *PARTS, extra_vars=settings)
        assert host.run(detector).stdout != before
    client.assert_nothing_lost()
    with steady() as client:
        playbook(DEPLOY, [host], *PARTS)
    client.assert_nothing_lost()
    assert host.run(detector).stdout == before


@pytest.mark.full
def test_modules_are_changed(host, playbook: Playbooks, steady, url: str) -> None:
    """The guide's stop, uninstall, install and start; text_correction comes with its model."""
    other, correction = (url.replace("ocr_system", name) for name in ("ocr_det", "text_correction"))
    with steady(enough=ENOUGH) as client:
        settings = {
            "hubserving_modules": ["ocr_system", "text_correction"],
            "ppocr_version": "1.0.3",
        }
        playbook(DEPLOY, [host], *PARTS, extra_vars=settings)
        assert requests.post(other, json={}, timeout=60).status_code == 404
        told = requests.post(correction, json={"texts": ["为什公你不口家"]}, timeout=60).json()
    client.assert_nothing_lost()
    assert told["results"] == [
        [
            [{"err": "公"}, {"fix": "么"}, {"startIdx": "2"}, {"endIdx": "3"}],
            [{"err": "口"}, {"fix": "回"}, {"startIdx": "5"}, {"endIdx": "6"}],
        ]
    ]
    with steady() as client:
        playbook(DEPLOY, [host], *PARTS)
    client.assert_nothing_lost()
    assert requests.post(other, json={}, timeout=60).status_code != 404


@pytest.mark.full
def test_tokens_are_changed(host, playbook: Playbooks, steady, url: str) -> None:
    """First both are taken, then the new one alone; the containers stay."""
    first, second = "a" * 32, "b" * 32

    def deploy(*tokens: str) -> None:
        playbook(DEPLOY, [host], *PARTS, extra_vars={"hubserving_tokens": list(tokens)})

    def asked(token: str) -> dict:
        return {"headers": {"Authorization": f"Bearer {token}"}}

    deploy(first)
    before = inspect(host, "ppocr")["Id"], inspect(host, "ppocr-edge")["Id"]
    with steady(enough=ENOUGH, **asked(first)) as client:
        deploy(first, second)
    client.assert_nothing_lost()
    with steady(**asked(second)) as client:
        deploy(second)
    client.assert_nothing_lost()
    assert (inspect(host, "ppocr")["Id"], inspect(host, "ppocr-edge")["Id"]) == before
    with pytest.raises(ValueError, match="HTTP 401"):
        texts(requests.Session(), url, **asked(first))
    playbook(DEPLOY, [host], *PARTS)


@pytest.mark.full
def test_a_certificate_and_networks_are_changed(
    host, playbook: Playbooks, steady, tmp_path
) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    first, second = (certificates.issue(tmp_path / name, host.address) for name in ("1", "2"))
    both = tmp_path / "both.crt"
    both.write_text(first.authority.read_text() + second.authority.read_text())

    def settings(made: certificates.Certificate, networks: list[str]) -> dict:
        return {
            "hubserving_tls_cert": str(made.certificate),
            "hubserving_tls_key": str(made.key),
            "hubserving_allow_networks": networks,
            "smoke_test_ca_bundle": str(both),
            "hubserving_pdserving": True,
        }

    playbook(DEPLOY, [host], *PARTS, extra_vars=settings(first, ["10.0.0.0/8"]))
    client = steady(secure=True, enough=ENOUGH, verify=str(both))
    before = inspect(host, "ppocr")["Id"], inspect(host, "ppocr-edge")["Id"]
    with client:
        wider = settings(second, ["10.0.0.0/8", "172.16.0.0/12"])
        playbook(DEPLOY, [host], *PARTS, extra_vars=wider)
    client.assert_nothing_lost()
    assert (inspect(host, "ppocr")["Id"], inspect(host, "ppocr-edge")["Id"]) == before
    assert client.texts == texts_for_pdserving(client.url, verify=str(both))
    with pytest.raises(requests.exceptions.SSLError):
        texts(requests.Session(), client.url, verify=str(first.authority))
    # Settings the samples cannot be read with are put back, those of the edge's container, too.
    refused = {**settings(first, ["198.51.100.0/24"]), "edge_memory_limit": "300m"}
    run = playbook(DEPLOY, [host], *PARTS, extra_vars=refused, expect_rc=2)
    assert "its former ones apply again" in words(run)
    assert (inspect(host, "ppocr")["Id"], inspect(host, "ppocr-edge")["Id"]) == before
    assert texts(requests.Session(), client.url, verify=str(second.authority))
    assert names(host) == {"ppocr", "ppocr-edge"}


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_maintenance_is_for_clients_alone(host, playbook: Playbooks, url: str) -> None:
    """With TLS, as the test before left it: a client that still sends must read the answer."""
    begin = {"ppocr_maintenance": "on", "edge_maintenance_message": "back at 8"}
    playbook(MAINTENANCE, [host], extra_vars=begin)
    secure = url.replace("http:", "https:")
    large = {"data": bytes(20_000_000), "headers": {"Content-Type": "application/json"}}
    answer = requests.post(secure, **large, verify=False, timeout=60)  # noqa: S501 - what is said
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "600")
    assert answer.json() == {"status": "101", "msg": "back at 8", "results": ""}
    other = requests.post(pdserving_url(secure), **large, verify=False, timeout=60)  # noqa: S501
    assert (other.json()["err_no"], other.json()["err_msg"]) == (3001, "back at 8")

    host.run("docker restart ppocr-edge")
    run = playbook(DEPLOY, [host], *PARTS, extra_vars={"hubserving_params": ANOTHER})
    assert "PASSED" in words(run) and "Maintenance is on for ppocr: clients get 503" in words(run)
    asked = {path: requests.get(url.replace("/predict/ocr_system", path), timeout=60).status_code
             for path in ("/livez", "/readyz", "/metrics")}  # fmt: skip
    assert asked == {"/livez": 200, "/readyz": 503, "/metrics": 200}
    assert "Maintenance is on for ppocr" in words(playbook("playbooks/status.yml", [host]))
    playbook(MAINTENANCE, [host], extra_vars={"ppocr_maintenance": "off"})
    assert texts(requests.Session(), url)
