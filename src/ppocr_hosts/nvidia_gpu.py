"""Parses nvidia-smi, and chooses the cards of a setting.

Pure functions, standard library only: they run on hosts and on the control node.
"""

from __future__ import annotations

import re

_CARD = re.compile(r"^GPU (\d+): (.*?) \(UUID: (GPU-[^)]+)\)")
_INSTANCE = re.compile(r"^\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)")
_KERNEL_MODULE = re.compile(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s")


class ChoiceError(ValueError):
    """A setting chooses cards the host does not have; the message lists those it has."""


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


def parse_capabilities(answer):
    """Return {UUID: compute capability} of ``nvidia-smi --query-gpu=uuid,compute_cap``.

    Drivers below 510 do not know the question; then it is empty.
    """
    return dict(re.findall(r"^(GPU-\S+), (\d+\.\d+)\s*$", answer, re.MULTILINE))


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
            "'CUDA_VISIBLE_DEVICES'"
        )
    for name in names:
        if not re.fullmatch(r"all|\d+(:\d+)?|GPU-\S+|MIG-\S+", name):
            raise ChoiceError(
                f"ppocr_cuda_visible_devices names {name!r}, which is not a card. Use all, indexes "
                "(0 or 0,1), GPU-UUIDs or MIG ids, as nvidia-smi -L shows them"
            )
    if "all" in names and len(names) > 1:
        raise ChoiceError("ppocr_cuda_visible_devices: use all alone, or list cards")
    return names


def _devices(cards):
    """Return {name: device} with all names of each card and instance."""
    found = {}
    for card in cards:
        whole = {"index": str(card["index"]), "uuid": card["uuid"], "kind": "card", "of": card}
        whole["split"] = card["instances"]
        found[whole["index"]] = found[whole["uuid"]] = whole
        for part in card["instances"]:
            instance = {"index": part["id"], "uuid": part["uuid"], "kind": "instance", "of": card}
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
    """Return the devices chosen by a setting: [{index, uuid, name, model, capability}].

    name is as in the setting; capability is empty where the driver does not tell it.

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
        chosen.append(
            {
                "index": device["index"],
                "uuid": device["uuid"],
                "name": name,
                "model": device["of"]["name"],
                "capability": device["of"].get("capability", ""),
            }
        )
    if len(chosen) > 1 and any(known[item["name"]]["kind"] == "instance" for item in chosen):
        raise ChoiceError(
            "ppocr_cuda_visible_devices: a process sees one MIG instance only, and no card beside "
            f"it. Name that one alone. {has}"
        )
    return chosen
