"""Parses nvidia-smi, chooses the cards of a setting, and explains NVIDIA's errors.

Pure functions, standard library only: they run on hosts and on the control node.
"""

from __future__ import annotations

import re

_CARD = re.compile(r"^GPU (\d+): (.*?) \(UUID: (GPU-[^)]+)\)")
_INSTANCE = re.compile(r"^\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)")
_KERNEL_MODULE = re.compile(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s")

# If several patterns match, the first one counts.
_ERRORS = (
    (
        r"could not select device driver \\?[\"']+cdi",
        "dockerd does not take CDI devices: they need Docker 25 or newer, with features.cdi in "
        "daemon.json up to 28.1. Run playbooks/deploy.yml without --tags, or set "
        "nvidia_container_toolkit_mode to hook",
    ),
    (
        r"could not select device driver|failed to discover GPU vendor from CDI",
        "Docker has no way to give a container a GPU: NVIDIA's container toolkit is not installed, "
        "or dockerd was not restarted since. Run playbooks/deploy.yml without --tags: its role "
        "nvidia_container_toolkit does both",
    ),
    (
        r"unresolvable CDI devices",
        "the CDI specification of the host does not name this card. Run playbooks/deploy.yml "
        "without --tags, which rewrites it from the existing cards",
    ),
    (
        r"unknown device",
        "NVIDIA's runtime knows no card of that number or name. Compare nvidia-smi -L with "
        "ppocr_cuda_visible_devices, and deploy again",
    ),
    (
        r"Driver/library version mismatch",
        "the driver was upgraded and its old kernel module still runs. Reboot the host",
    ),
    (
        r"unsatisfied condition: cuda|CUDA driver version is insufficient",
        "the driver is too old for the image's CUDA 11.8. Install a newer one "
        "(nvidia_container_toolkit_min_driver), and reboot",
    ),
    (
        r"couldn't communicate with the NVIDIA driver|[Dd]river [Nn]ot [Ll]oaded",
        "the driver is installed and its kernel module is not loaded. Try modprobe nvidia; "
        "after a kernel upgrade install the kernel's headers and the driver again; with Secure "
        "Boot sign the module",
    ),
    (
        r"Failed to initialize NVML: Unknown Error",
        "a container with this error lost its GPU, as systemctl daemon-reload does to it in mode "
        "hook; restart it (ppocr-gpu reconcile does), and set nvidia_container_toolkit_mode to cdi "
        "where Docker is 25 or newer. A host with this error needs a reboot",
    ),
    (
        r"Failed to initialize NVML|nvml error|libnvidia-ml\.so\.1: cannot open",
        "the driver's library does not work. Install the driver again, and reboot",
    ),
    (
        r"No devices were found",
        "the driver runs and finds no card. See dmesg for NVRM or Xid lines; a virtual machine "
        "needs the card passed through",
    ),
    (
        r"/dev/nvidia\S*: no such file|no such file or directory.*?/dev/nvidia",
        "the driver was not ready yet. The container is started again as soon as it is ready "
        "(ppocr-gpu reconcile)",
    ),
    (
        r"KeyError: '?CUDA_VISIBLE_DEVICES",
        "the container has no CUDA_VISIBLE_DEVICES. Set ppocr_cuda_visible_devices (default all) "
        "and deploy again",
    ),
    (
        r"(?i)CUDA error.*?out of memory|ResourceExhaustedError|cudaErrorMemoryAllocation"
        r"|out of memory error on GPU|gpu:\S+ (has too little free|ran out of) memory",
        "the GPU's memory is full. Look with nvidia-smi who else uses the card, choose another "
        "(ppocr_cuda_visible_devices), or lower hubserving_workers_per_gpu",
    ),
)


class ChoiceError(ValueError):
    """A setting chooses cards the host does not have; the message lists those it has."""


def explain(text):
    """Return cause and remedy of the first known NVIDIA error in text, or ''."""
    for pattern, remedy in _ERRORS:
        if re.search(pattern, text):
            return remedy
    return ""


def parse_cards(listing):
    """Return the cards of ``nvidia-smi -L``: [{index, name, uuid, instances: [{id, name, uuid}]}].

    index is an int; the id of a MIG instance has the form "card:instance".
    """
    cards: list[dict] = []
    for line in listing.splitlines():
        card, instance = _CARD.match(line), _INSTANCE.match(line)
        if card:
            cards.append({"index": int(card[1]), "name": card[2], "uuid": card[3], "instances": []})
        elif instance and cards:
            place = f"{cards[-1]['index']}:{instance[2]}"
            cards[-1]["instances"].append({"id": place, "name": instance[1], "uuid": instance[3]})
    return cards


def kernel_version(text):
    """Return the version in /proc/driver/nvidia/version, or ''."""
    found = _KERNEL_MODULE.search(text)
    return found[1] if found else ""


def older(version, minimum):
    """Return whether a driver's version, such as 535.183.01, is below the minimum."""
    return _numbers(version) < _numbers(minimum)


def _numbers(version):
    return [int(part) for part in re.findall(r"\d+", version)]


def wanted(setting):
    """Return the names in a setting: a number, a text with commas, or a list of either.

    Raises ChoiceError if there are none, or one cannot be a card.
    """
    parts = setting if isinstance(setting, (list, tuple)) else str(setting).split(",")
    names = [str(part).strip() for part in parts]
    if setting is None or not any(names):
        raise ChoiceError(
            "ppocr_cuda_visible_devices is empty, and modules that use the GPU end with KeyError: "
            "'CUDA_VISIBLE_DEVICES'. Set it to all, or to cards such as 0 or 0,1"
        )
    for name in names:
        if not re.fullmatch(r"all|\d+(:\d+)?|GPU-\S+|MIG-\S+", name):
            raise ChoiceError(
                f"ppocr_cuda_visible_devices names {name!r}, which is not a card. Use all, indexes "
                "(0 or 0,1), GPU-UUIDs or MIG ids, as nvidia-smi -L shows them"
            )
    if "all" in names and len(names) > 1:
        raise ChoiceError("ppocr_cuda_visible_devices: all stands alone, or cards are listed")
    return names


def _devices(cards):
    """Return {name: device} with all names of each card and instance."""
    found = {}
    for card in cards:
        whole = {"index": str(card["index"]), "uuid": card["uuid"], "kind": "card"}
        whole["split"] = card["instances"]
        found[whole["index"]] = found[whole["uuid"]] = whole
        for part in card["instances"]:
            instance = {"index": part["id"], "uuid": part["uuid"], "kind": "instance"}
            found[part["id"]] = found[part["uuid"]] = instance
    return found


def listed(cards):
    """Return the cards in one line, for messages."""
    texts = []
    for card in cards:
        texts.append(f"{card['index']} ({card['name']}, {card['uuid']})")
        texts += [f"{part['id']} ({part['name']}, {part['uuid']})" for part in card["instances"]]
    return ", ".join(texts) or "none"


def choose(setting, cards):
    """Return the devices chosen by a setting: [{index, uuid, name}], name as in the setting.

    Raises ChoiceError, which lists the existing cards.
    """
    names, known = wanted(setting), _devices(cards)
    has = f"This host has {listed(cards)}"
    if names == ["all"]:
        names = [str(card["index"]) for card in cards]
        if not names:
            raise ChoiceError("this host has no card that nvidia-smi -L lists")
    chosen: list[dict] = []
    for name in names:
        device = known.get(name)
        if device is None:
            raise ChoiceError(f"ppocr_cuda_visible_devices names {name}. {has}")
        if device.get("split"):
            raise ChoiceError(
                f"ppocr_cuda_visible_devices: card {device['index']} is split into MIG instances, "
                f"of which a process uses one. Name it. {has}"
            )
        if any(device["uuid"] == other["uuid"] for other in chosen):
            raise ChoiceError(f"ppocr_cuda_visible_devices names {name} twice. {has}")
        chosen.append({"index": device["index"], "uuid": device["uuid"], "name": name})
    if len(chosen) > 1 and any(known[item["name"]]["kind"] == "instance" for item in chosen):
        raise ChoiceError(
            "ppocr_cuda_visible_devices: a process sees one MIG instance only, and no card beside "
            f"it. Name that one alone. {has}"
        )
    return chosen
