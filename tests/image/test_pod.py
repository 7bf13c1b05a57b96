"""The container under what a pod gives it: the rendered Deployment, read as options of docker run.

No kubelet and no cluster: those parts of a pod that Docker has, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from tests.containers import IMAGE, PORT, Container, docker

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """{kind: manifest} of one instance with a token, as playbooks/kubernetes.yml writes them."""
    folder = tmp_path_factory.mktemp("site")
    settings = {
        "ansible_connection": "local",
        "kubernetes_dir": str(folder / "made"),
        "hubserving_tokens": ["first"],
        "hubserving_image": IMAGE,
    }
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"ppocr_hosts": {"hosts": {"node1": settings}}}))
    command = [sys.executable, "-m", "ansible", "playbook", "-i", inventory]
    subprocess.run(
        [*command, ROOT / "playbooks/kubernetes.yml"],
        cwd=ROOT, check=True, env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )  # fmt: skip
    found = [yaml.safe_load(path.read_text()) for path in (folder / "made").glob("*.yaml")]
    return {each["kind"]: each for each in found}


class Pod:
    """Folders and options of a container, as a kubelet would make them of a Deployment."""

    def __init__(self, manifests, folder):
        self.spec = manifests["Deployment"]["spec"]["template"]["spec"]
        (self.container,) = self.spec["containers"]
        self._folder = folder
        self.project(manifests["ConfigMap"]["data"] | manifests["Secret"]["stringData"])

    def project(self, files):
        """Write the projected volume: new files lie in a new folder, and one link changes."""
        volume = self._folder / "config"
        version = volume / f"..{len(list(volume.glob('..[0-9]*')))}"
        version.mkdir(parents=True)
        for name, text in files.items():
            (version / name).write_text(text)
            if not (volume / name).is_symlink():
                (volume / name).symlink_to(f"..data/{name}")
        (volume / "..new").symlink_to(version.name)
        mode = self.spec["volumes"][0]["projected"]["defaultMode"]
        self._give(f"chown -R 0:$1 /pod/config && chmod {mode:o} /pod/config/{version.name}/*")
        (volume / "..new").rename(volume / "..data")

    def _give(self, script):
        """Run shell as root, to whose files a pod's group has access."""
        docker(
            "run", "--rm", "--network=none", "--user=0:0", "--entrypoint=/bin/sh",
            f"--volume={self._folder}:/pod", IMAGE, "-c", script, "sh",
            str(self.spec["securityContext"]["fsGroup"]),
        )  # fmt: skip

    def options(self):
        context, own = self.spec["securityContext"], self.container["securityContext"]
        assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"]
        for volume in self.spec["volumes"]:
            (self._folder / volume["name"]).mkdir(exist_ok=True)
        self._give("cd /pod && chown 0:$1 tmp run && chmod 2777 tmp run && chmod 0755 config")
        return [
            f"--user={context['runAsUser']}:{context['runAsGroup']}",
            "--read-only",
            "--security-opt=no-new-privileges",
            *(f"--cap-drop={name}" for name in own["capabilities"]["drop"]),
            f"--memory={self.container['resources']['limits']['memory']}",
            *(f"--env={each['name']}={each['value']}" for each in self.container["env"]),
            *(
                f"--volume={self._folder / each['name']}:{each['mountPath']}"
                f"{':ro' if each.get('readOnly') else ''}"
                for each in self.container["volumeMounts"]
            ),
        ]


@pytest.fixture
def pod(manifests, tmp_path):
    return Pod(manifests, tmp_path)


@pytest.fixture
def container(pod):
    made = Container(*PORT, *pod.options(), command=pod.container["args"], protections=())
    yield made
    made.remove()


def test_a_pod_starts_rereads_its_tokens_and_ends_in_order(pod, container, request_body):
    def answers(probe):
        try:
            return container.request("GET", probe["httpGet"]["path"])[0] == 200
        except OSError:
            return False

    def accepts(token):
        headers = {"Authorization": f"Bearer {token}"}
        return container.request("GET", "/metrics", headers=headers)[0] == 200

    container.wait(lambda: answers(pod.container["startupProbe"]))
    assert answers(pod.container["livenessProbe"]) and answers(pod.container["readinessProbe"])
    assert accepts("first") and not accepts("second")
    pod.project({"tokens": "second\n", "config.json": "", "params.json": ""})
    container.wait(lambda: accepts("second"))
    assert not accepts("first")

    answered = []
    headers = {"Authorization": "Bearer second"}
    request = threading.Thread(
        target=lambda: answered.append(container.post("ocr_system", request_body, headers)[0])
    )
    request.start()
    container.execute(*pod.container["lifecycle"]["preStop"]["exec"]["command"])
    docker("stop", f"--time={pod.spec['terminationGracePeriodSeconds']}", container.name)
    request.join()
    assert answered == [200] and container.ended() == 0
