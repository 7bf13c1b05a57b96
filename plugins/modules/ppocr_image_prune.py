#!/usr/bin/python
"""Ansible module: removes images of this project that are older than the last few.

Standard library only; asks the docker command, whose words are not read: only JSON and exit codes.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: ppocr_image_prune
short_description: Keep the last images of this project, remove older ones
description:
  - Removes images that carry this project's label, have no name but the one they were built under,
    and are used by no container. Everything else stays, whatever its age.
options:
  name:
    description: Repository of the image, without its tag.
    type: str
    required: true
  keep:
    description: How many to keep, the newest first; those in use stay beyond that. 0 keeps all.
    type: int
    required: true
  spare:
    description: Names that stay in any case.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Keep the last three images
  ppocr_image_prune:
    name: ppocr
    keep: 3
"""

RETURN = r"""
removed:
  description: Names (or IDs, where an image had none) of what was removed, or would be.
  type: list
  returned: always
kept:
  description: The same of this project's images that are there afterwards.
  type: list
  returned: always
"""

#: Says what an image was made of; the name it was built under; its version, the tag of that name.
CONTENT, NAME, VERSION = "org.ppocr.content", "org.ppocr.image", "org.opencontainers.image.version"
#: Labels are inherited: an image somebody built on one of ours ends with another step than ours do.
LAST_STEP = 'CMD ["serve"]'


def title(image: dict[str, Any]) -> str:
    """What a person calls an image."""
    return (image.get("RepoTags") or [image["Id"][:19]])[0]


def is_ours(image: dict[str, Any], name: str, last_step: str) -> bool:
    """Whether this project made an image and it has no other name.

    Args:
        image: as docker image inspect shows it.
        name: repository of the project's images.
        last_step: of the image's history.
    """
    labels = image["Config"].get("Labels") or {}
    # docker commit gives a content that is no hash: those hold what a person did.
    if not re.fullmatch(r"[0-9a-f]{64}", labels.get(CONTENT) or ""):
        return False
    if not last_step.rstrip().endswith(LAST_STEP):
        return False
    tags = image.get("RepoTags") or []
    built_as = labels.get(NAME) or (tags and f"{name}:{labels.get(VERSION)}") or ""
    return built_as.rpartition(":")[0] == name and set(tags) <= {built_as}


def superseded(
    ours: list[dict[str, Any]], used: set[str], keep: int, spare: list[str]
) -> list[dict[str, Any]]:
    """Which of the project's images are to go: all but the newest, used and spared ones.

    With ``keep`` 0, none.
    """
    if not keep:
        return []
    newest_first = sorted(ours, key=lambda image: image["Created"], reverse=True)
    return [
        image
        for image in newest_first[keep:]
        if image["Id"] not in used and not set(image.get("RepoTags") or []) & set(spare)
    ]


class Engine:
    """The docker command of this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def say(self, *arguments: str, check: bool = True) -> tuple[int, str, str]:
        status, out, err = self._module.run_command(
            ["docker", *arguments], environ_update={"LC_ALL": "C"}
        )
        if status and check:
            # A deploy that went well is not to fail over images that stay; nor is check mode, on a
            # host whose engine does not run yet.
            self._module.warn(f"no image was looked at: docker {arguments[0]}: {err.strip()}")
            self._module.exit_json(changed=False, removed=[], kept=[])
        return status, out, err

    def images(self, name: str) -> list[dict[str, Any]]:
        listed = ("image", "ls", "--no-trunc", "--quiet", "--filter", f"label={CONTENT}")
        ids = list(dict.fromkeys(self.say(*listed)[1].split()))
        # One that has gone meanwhile is an error beside what came of the others.
        found = json.loads(self.say("image", "inspect", *ids, check=False)[1]) if ids else []
        return [image for image in found if is_ours(image, name, self._last_step(image["Id"]))]

    def _last_step(self, image_id: str) -> str:
        shown = ("history", "--no-trunc", "--format={{json .CreatedBy}}", image_id)
        lines = self.say(*shown)[1].splitlines()
        return str(json.loads(lines[0])) if lines else ""

    def used(self) -> set[str]:
        """IDs of the images of all containers, running or not."""
        containers = self.say("container", "ls", "--all", "--no-trunc", "--quiet")[1].split()
        if not containers:
            return set()
        shown = ("container", "inspect", "--format={{.Image}}", *containers)
        return set(self.say(*shown, check=False)[1].split())

    def remove(self, image: dict[str, Any]) -> bool:
        """Remove an image; the engine itself refuses one that is used or that others build on."""
        status, _, err = self.say("image", "rm", image["Id"], check=False)
        if status:
            self._module.warn(f"{title(image)} stays: {err.strip()}")
        return not status


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "keep": {"type": "int", "required": True},
            "spare": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    keep = module.params["keep"]
    if keep < 0:
        module.fail_json(msg=f"keep is {keep}: it is a number of images, 0 or more")
    if module.get_bin_path("docker") is None:  # a host that check mode has not prepared
        module.exit_json(changed=False, removed=[], kept=[])
    engine = Engine(module)
    ours = engine.images(module.params["name"])
    old = superseded(ours, engine.used(), keep, module.params["spare"])
    gone = [image for image in old if module.check_mode or engine.remove(image)]
    module.exit_json(
        changed=bool(gone),
        removed=[title(image) for image in gone],
        kept=[title(image) for image in ours if image not in gone],
    )


if __name__ == "__main__":
    main()
