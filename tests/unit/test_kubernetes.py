"""playbooks/kubernetes.yml: what it renders, by the schemas of the API that are published."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from plays import run_play
from role_code import ROOT

from tests import certificates

pytestmark = pytest.mark.slow
DOCKERFILE = ROOT / "images/ppocr/Dockerfile"
PLAY = f"- import_playbook: {ROOT}/playbooks/kubernetes.yml"
#: The oldest and the newest API whose schemas the manifests must fit.
VERSIONS = ("1.28", "1.37")
TOKENS = ["1e3", "yes", "0x10", "a:b#c"]
NODES = ("node1", "node2")


class Site:
    """A folder with an inventory of two nodes, and the manifests rendered from it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.made, self.settings = folder, folder / "manifests", settings

    def render(self, *arguments: str, **more: Any) -> tuple[int, str]:
        values = {"ansible_host": "host.invalid", "kubernetes_dir": str(self.made)}
        hosts = {name: {**values, **self.settings, **more} for name in NODES}
        return run_play(self.folder, PLAY, hosts, *arguments)

    def objects(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What the files hold, by kind and name, each valid by the schemas."""
        found = {}
        for path in sorted(self.made.glob("*.yaml")):
            manifest = yaml.safe_load(path.read_text())
            for version in VERSIONS:
                kubernetes_validate.validate(manifest, version, strict=True)
            secret = manifest["kind"] == "Secret"
            assert stat.S_IMODE(path.stat().st_mode) == (0o600 if secret else 0o644), path
            found[manifest["kind"], manifest["metadata"]["name"]] = manifest
        return found


def pod(manifest: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Deployment's pod, and its one container."""
    spec = manifest["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Site:
    site = Site(tmp_path_factory.mktemp("plain"))
    status, output = site.render()
    assert status == 0, output
    return site


def test_the_pod_is_held_as_the_container_is(plain: Site) -> None:
    spec, container = pod(plain.objects()["Deployment", "ppocr"])
    assert container["image"].startswith("ppocr:") and container["imagePullPolicy"] == "Never"
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == 10001
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"] == {"memory": str(4 * 1024**3)}
    assert environment(container)["PPOCR_WORKERS"] == "1"
    # Kubernetes would otherwise set variables for the Service ppocr, which the container reads.
    assert spec["enableServiceLinks"] is False


def test_it_is_waited_for_and_drained_as_a_deploy_does(plain: Site) -> None:
    spec, container = pod(plain.objects()["Deployment", "ppocr"])
    startup = container["startupProbe"]
    assert startup["failureThreshold"] * startup["periodSeconds"] == 240
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    leaves = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] == leaves + 30 + 5


def test_defaults_need_no_secret_and_no_policy(plain: Site) -> None:
    objects = plain.objects()
    kinds = {"ConfigMap", "Deployment", "PodDisruptionBudget", "Service"}
    assert set(objects) == {(kind, "ppocr") for kind in kinds}
    selector = objects["Deployment", "ppocr"]["spec"]["selector"]["matchLabels"]
    assert objects["Service", "ppocr"]["spec"]["selector"] == selector
    assert objects["PodDisruptionBudget", "ppocr"]["spec"]["selector"]["matchLabels"] == selector


@pytest.mark.full
def test_what_is_there_is_left_and_check_mode_writes_nothing(plain: Site) -> None:
    before = {path: path.read_text() for path in plain.made.iterdir()}
    status, output = plain.render()
    assert status == 0 and "changed=1" not in output, output
    status, output = plain.render("--check", "--diff", hubserving_workers=2)
    assert status == 0 and '- value: "1"' in output and '+ value: "2"' in output, output
    assert {path: path.read_text() for path in plain.made.iterdir()} == before


@pytest.mark.full
def test_access_is_limited_as_it_is_on_a_host(tmp_path: Path) -> None:
    own = certificates.issue(tmp_path, "192.0.2.1")
    site = Site(
        tmp_path,
        hubserving_tokens=TOKENS,
        hubserving_tls_cert=str(own.certificate),
        hubserving_tls_key=str(own.key),
        hubserving_allow_networks=["10.0.0.0/8", "192.0.2.7"],
        hubserving_hosts=["ocr.example.com"],
        kubernetes_namespace="ocr",
        kubernetes_service_type="NodePort",
        kubernetes_node_selector={"ppocr": True},
        hubserving_pids_limit=100,
        edge_enabled=False,
    )
    status, output = site.render()
    assert status == 0, output
    assert "belongs to Docker: edge_enabled, hubserving_pids_limit" in output
    assert own.key.read_text() not in output and TOKENS[3] not in output
    objects = site.objects()
    assert {each["metadata"]["namespace"] for each in objects.values()} == {"ocr"}
    tokens = objects["Secret", "ppocr-tokens"]["stringData"]["tokens"]
    assert tokens.splitlines() == TOKENS
    tls = objects["Secret", "ppocr-tls"]
    assert (
        tls["type"] == "kubernetes.io/tls" and own.key.read_text() in tls["stringData"]["tls.key"]
    )
    spec, container = pod(objects["Deployment", "ppocr"])
    assert spec["nodeSelector"] == {"ppocr": "true"}
    probe = container["readinessProbe"]["httpGet"]
    assert probe["scheme"] == "HTTPS"
    assert probe["httpHeaders"] == [{"name": "Host", "value": "ocr.example.com"}]
    # Probes come from the node, so the pod's network decides instead of the container.
    assert environment(container)["PPOCR_ALLOW_NETWORKS"] == ""
    (rule,) = objects["NetworkPolicy", "ppocr"]["spec"]["ingress"]
    cidrs = [each["ipBlock"]["cidr"] for each in rule["from"]]
    assert cidrs == ["10.0.0.0/8", "192.0.2.7/32"]
    assert objects["Service", "ppocr"]["spec"]["externalTrafficPolicy"] == "Local"
    (site.made / "mine.yaml").write_text("kind: Mine\n")
    status, output = site.render(hubserving_tokens=[])
    assert status == 0, output
    assert not (site.made / "ppocr-tokens-secret.yaml").exists()
    assert (site.made / "mine.yaml").exists()


@pytest.mark.full
def test_cards_are_asked_for_by_number(tmp_path: Path) -> None:
    site = Site(tmp_path, ppocr_device="gpu", ppocr_cuda_visible_devices="2,3")
    status, output = site.render()
    assert status == 0, output
    deployment = site.objects()["Deployment", "ppocr"]
    container = pod(deployment)[1]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert environment(container)["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert container["image"].endswith("-gpu")
    # A pod beside the old one might wait for a card for ever.
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


@pytest.mark.full
def test_each_instance_has_objects_of_its_own(tmp_path: Path) -> None:
    instances = [
        {"name": "ppocr_det", "port": 8866, "modules": ["ocr_det"]},
        {"name": "ppocr_hub", "port": 8867, "modules": ["ocr_rec"], "server": "hub"},
    ]
    site = Site(tmp_path, hubserving_instances=instances, kubernetes_replicas=3)
    status, output = site.render()
    assert status == 0, output
    objects = site.objects()
    assert objects["Service", "ppocr-det"]["spec"]["ports"][0]["port"] == 8866
    assert objects["Service", "ppocr-hub"]["spec"]["ports"][0]["port"] == 8867
    assert len(objects) == 8
    assert objects["Deployment", "ppocr-det"]["spec"]["replicas"] == 3
    # Plain hub serving has no health paths.
    probe = pod(objects["Deployment", "ppocr-hub"])[1]["readinessProbe"]
    (healthcheck,) = re.findall(r"^ +CMD (.*healthcheck)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert probe["exec"]["command"] == ["sh", "-c", healthcheck]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "volumes": ({"hubserving_volumes": ["/a:/a"]}, "hubserving_volumes cannot be rendered"),
    "network": ({"hubserving_network": "host"}, "hubserving_network cannot be rendered"),
    "bind": ({"hubserving_bind": "127.0.0.1"}, "hubserving_bind cannot be rendered"),
    "privileged": ({"hubserving_privileged": True}, "hubserving_privileged cannot be rendered"),
    "mig": (
        {"ppocr_cuda_visible_devices": "0:1"},
        "ppocr_cuda_visible_devices cannot be rendered",
    ),
    "name": ({"hubserving_name": "0ocr"}, "each begins with a letter"),
    "names": (
        {"hubserving_instances": [{"name": "a_b", "port": 1}, {"name": "a-b", "port": 2}]},
        "differs from the others once _ and . have become -",
    ),
}


@pytest.mark.full
def test_what_a_cluster_cannot_do_is_refused_by_name(tmp_path: Path) -> None:
    made = tmp_path / "made"
    common = {"kubernetes_dir": str(made), "ppocr_device": "gpu"}
    hosts = {name: {**common, **case[0]} for name, case in REFUSED.items()}
    status, output = run_play(tmp_path, PLAY, hosts)
    assert status and not made.exists()
    recap = output.rpartition("PLAY RECAP")[2]
    for name, (_, says) in REFUSED.items():
        assert says in output, output
        assert "failed=1" in recap.split(f"{name} : ")[1][:80], name


def test_what_needs_docker_is_refused_on_nodes_without(tmp_path: Path) -> None:
    """Before a host is reached: there is none."""
    play = """
- hosts: deployed
  gather_facts: false
  roles: [preflight]
- hosts: pulls
  gather_facts: false
  roles: [ppocr_image]
"""
    common = {"ansible_host": "host.invalid", "ppocr_image_ctr": "ctr --namespace k8s.io"}
    registry = {"ppocr_image_registry": "registry.invalid:5000"}
    status, output = run_play(tmp_path, play, {"deployed": common, "pulls": common | registry})
    assert status and "unreachable=1" not in output
    assert "Send the image with playbooks/ship.yml" in output
    status, output = run_play(tmp_path, play, {"pulls": common | registry})
    assert status and "ppocr_image_registry is for hosts with Docker" in output


@pytest.mark.full
def test_nodes_that_differ_are_no_cluster(tmp_path: Path) -> None:
    hosts = {name: {"kubernetes_dir": str(tmp_path / "made")} for name in NODES}
    hosts["node2"]["hubserving_workers"] = "2"
    status, output = run_play(tmp_path, PLAY, hosts)
    assert status and "settings of the service differ between node1, node2" in output
    assert not (tmp_path / "made").exists()
