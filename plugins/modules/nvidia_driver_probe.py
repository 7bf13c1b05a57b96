#!/usr/bin/python
"""Ansible module: does this host's NVIDIA driver work, and which of its cards are chosen?"""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.ppocr_hosts.nvidia_gpu import (
    ChoiceError,
    choose,
    kernel_version,
    older,
    parse_capabilities,
    parse_cards,
)

DOCUMENTATION = r"""
module: nvidia_driver_probe
short_description: Tell whether the NVIDIA driver works, and which cards a setting chooses
description:
  - Runs nvidia-smi and reads /proc/driver/nvidia. Changes nothing.
options:
  visible:
    description: Cards to choose, as ppocr_cuda_visible_devices has them.
    type: raw
    required: true
  min_driver:
    description: Oldest driver that will do.
    type: str
    required: true
  cuda:
    description: What the image was built with, for the message.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Choose two cards
  nvidia_driver_probe:
    visible: "0,1"
    min_driver: 525.60.13
    cuda: "12.8"
"""

RETURN = r"""
problem:
  description: What is wrong; empty when all is well. Filter ppocr_explain knows what to do.
  type: str
  returned: always
driver:
  description: The driver's version as nvidia-smi tells it.
  type: str
  returned: always
cards:
  description: The cards of the host, each with index, name, uuid, capability and instances (MIG).
  type: list
  returned: always
chosen:
  description: >-
    The cards that are chosen, each with index, uuid, the name it was given, model and capability.
  type: list
  returned: always
"""

_SECONDS = 60


def ask(*arguments):
    """Return (exit status, output) of nvidia-smi; raises OSError where there is none.

    The output is what it answers, without warnings; of a failure, all it says.
    """
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"nvidia-smi gave no answer within {_SECONDS} s"
    answer = done.stdout.strip()
    if done.returncode == 0 and answer:
        return 0, answer
    return done.returncode, f"{answer}\n{done.stderr.strip()}".strip()


def loaded_version(proc="/proc"):
    """Return the version of the kernel module that is loaded, '' when there is none."""
    try:
        return kernel_version(Path(proc, "driver/nvidia/version").read_text(encoding="utf-8"))
    except OSError:
        return ""


def look(visible, min_driver, cuda):
    """Return the state of driver and cards, as RETURN describes it."""
    result = {"problem": "", "driver": "", "cards": [], "chosen": []}
    loaded = loaded_version()
    try:
        status, said = ask("-L")
        cards = parse_cards(said)
        if status == 0 and cards:
            status, version = ask("--query-gpu=driver_version", "--format=csv,noheader")
            result["driver"] = version.splitlines()[0].strip() if status == 0 and version else ""
            _, answer = ask("--query-gpu=uuid,compute_cap", "--format=csv,noheader")
            capabilities = parse_capabilities(answer)
            for card in cards:
                card["capability"] = capabilities.get(card["uuid"], "")
    except OSError:
        kernel = f" (kernel module {loaded} is loaded)" if loaded else ""
        result["problem"] = f"ppocr_device is gpu and the host has no nvidia-smi{kernel}"
        return result
    result["cards"] = cards
    if status != 0 or not cards:
        words = " ".join(said.split())[:300] or f"exit status {status}"
        kernel = f" and the kernel module {loaded} is loaded" if loaded else ""
        result["problem"] = f'nvidia-smi says "{words}"{kernel}'
    elif not result["driver"]:
        result["problem"] = "nvidia-smi does not tell the driver's version"
    elif loaded and loaded != result["driver"]:
        result["problem"] = (
            f"the driver's library is {result['driver']} and its loaded kernel module {loaded}"
        )
    elif older(result["driver"], min_driver):
        result["problem"] = (
            f"the NVIDIA driver {result['driver']} is too old: the image's CUDA {cuda} wants "
            f"{min_driver} or newer"
        )
    else:
        try:
            result["chosen"] = choose(visible, cards)
        except ChoiceError as error:
            result["problem"] = str(error)
    return result


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "visible": {"type": "raw", "required": True},
            "min_driver": {"type": "str", "required": True},
            "cuda": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    names = ("visible", "min_driver", "cuda")
    module.exit_json(changed=False, **look(*(module.params[name] for name in names)))


if __name__ == "__main__":
    main()
