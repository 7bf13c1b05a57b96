#!/usr/bin/python
"""Ansible module: makes the edge's image out of the first layer of the service's image.

Standard library only; asks the docker command.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: edge_image
short_description: Make the edge's image out of the first layer of the service's image
description:
  - The first layer of this project's images is a Debian root with HAProxy in it. The edge's has
    that layer alone, which the engine has already, so nothing is copied, and images of the service
    can go while the edge stays. Where an engine does not accept an archive without its layers (the
    containerd image store), the service's image is given a second name instead.
options:
  image: {type: str, required: true, description: The service's image.}
  repository: {type: str, required: true, description: Name for the edge's image, without tag.}
"""

RETURN = r"""
name:
  description: The edge's image; empty where the service's has no HAProxy, or is not there.
  type: str
  returned: always
"""

#: Label of a base with HAProxy, set by images/base/build.sh and inherited by what is built on it.
LABEL = "org.ppocr.haproxy"


def archive(layer, architecture, name):
    """Return what docker load takes for an image of one layer the engine has, as bytes."""
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Labels": {LABEL: "yes"}, "Cmd": ["haproxy", "-v"]},
            "rootfs": {"type": "layers", "diff_ids": [layer]},
            "history": [{"created_by": "the first layer of the service's image"}],
        }
    ).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    layer_name = layer.partition(":")[2] + "/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in ((config_name, config), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def docker(*arguments, **options):
    """Run docker; return the finished process, its output as bytes."""
    return subprocess.run(["docker", *arguments], capture_output=True, check=False, **options)


def inspect(name):
    """Return what docker image inspect says of an image, or None where there is none."""
    try:
        done = docker("image", "inspect", name)
    except OSError:  # in check mode there may be no docker yet
        return None
    return json.loads(done.stdout)[0] if done.returncode == 0 else None


def main():
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "repository": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    image = inspect(module.params["image"])
    if image is None or LABEL not in (image["Config"].get("Labels") or {}):
        module.exit_json(changed=False, name="")
    layer = image["RootFS"]["Layers"][0]
    name = "{}:{}".format(module.params["repository"], layer.partition(":")[2][:12])
    if inspect(name) or module.check_mode:
        module.exit_json(changed=False, name=name)
    loaded = docker("load", input=archive(layer, image["Architecture"], name))
    if loaded.returncode or inspect(name) is None:
        tagged = docker("tag", module.params["image"], name)
        if tagged.returncode:
            module.fail_json(msg=f"{name} cannot be made: {tagged.stderr.decode()}")
    module.exit_json(changed=True, name=name)


if __name__ == "__main__":
    main()
